"""Text autoencoders with Riemannian normalizing flows: pure functions, and trained models.

The first use of a pure function loads jax and chex, and no library of models, data or pictures;
`load_run` and what it gives load Flax too, and are therefore not among what ``import *`` takes.

Shapes: ``...`` any batch dimensions, B sentences of a batch, L words of the longest of them,
T = L + 1 time steps, V vocabulary, E embedding, H hidden units, Z latent dimensions, K flow steps,
C centers, S samples, N and M points (M also features of a decoder), P points of a curve, R codes
under N posteriors.
"""

from etils import epy as _epy

with _epy.lazy_api_imports(globals()):  # so that the command answers before jax is loaded
    from wae_rnf_jax.functional.batch_norm import batch_normalized_mean
    from wae_rnf_jax.functional.categorical import categorical_draws
    from wae_rnf_jax.functional.clustering import kmeans
    from wae_rnf_jax.functional.cross_entropy import fused_linear_cross_entropy
    from wae_rnf_jax.functional.curves import (
        Geodesic,
        curve_energy,
        curve_length,
        geodesic,
        resampled_curve,
    )
    from wae_rnf_jax.functional.distributions import (
        DiagonalGaussian,
        StandardNormal,
        UniformSphere,
        VonMisesFisher,
        sampled_kl,
    )
    from wae_rnf_jax.functional.dropout import (
        embedding_dropout,
        example_dropout,
        weight_dropout,
        word_dropout,
    )
    from wae_rnf_jax.functional.estimators import (
        active_threshold,
        active_units,
        gaussian_mutual_information,
        importance_weighted_nll,
        mutual_information,
        nll_paper,
        perplexity,
    )
    from wae_rnf_jax.functional.fisher import fisher_metric_estimate, wishart_log_bias
    from wae_rnf_jax.functional.flows import (
        FLOWS,
        Flow,
        chain_forward_and_log_det,
        chain_inverse_and_log_det,
        chain_trajectory,
        planar_forward_and_log_det,
        planar_identity_params,
        planar_inverse_and_log_det,
        planar_paper_forward_and_log_det,
        planar_paper_inverse_and_log_det,
        planar_paper_params,
        radial_forward_and_log_det,
        radial_identity_params,
        radial_inverse_and_log_det,
    )
    from wae_rnf_jax.functional.forward_pass import ForwardPass, ObjectiveContext
    from wae_rnf_jax.functional.gaussian import (
        free_bits_kl,
        gaussian_entropy,
        gaussian_kl,
        gaussian_log_prob,
        gaussian_sample,
    )
    from wae_rnf_jax.functional.grouped_mmd import mmd_squared_in_groups
    from wae_rnf_jax.functional.kernels import imq_kernel, multi_scale_imq_kernel, rbf_kernel
    from wae_rnf_jax.functional.losses import (
        attract_regularizer,
        flow_kl,
        match_regularizer,
        repel_regularizer,
    )
    from wae_rnf_jax.functional.mmd import mmd_squared_biased, mmd_squared_unbiased
    from wae_rnf_jax.functional.objectives import OBJECTIVES, weighted_loss
    from wae_rnf_jax.functional.pullback import (
        fisher_features,
        metric_log_magnification,
        pullback_log_magnification,
        pullback_log_magnification_estimate,
        pullback_metric,
        pullback_metric_product,
    )
    from wae_rnf_jax.functional.recurrence import lstm_states
    from wae_rnf_jax.functional.refinement import refined_posterior
    from wae_rnf_jax.functional.riemannian import (
        Codebook,
        rbf_bandwidth,
        rbf_log_magnification,
        rbf_precision,
    )
    from wae_rnf_jax.functional.schedules import (
        cyclical_annealing,
        linear_annealing,
        paper_annealing,
    )
    from wae_rnf_jax.functional.sequences import (
        bos_inputs,
        eos_targets,
        example_keys,
        example_normal,
        sequence_mask,
        sum_over_tokens,
    )
    from wae_rnf_jax.functional.spherical import slerp
    from wae_rnf_jax.functional.von_mises_fisher import (
        vmf_entropy,
        vmf_kl_to_uniform,
        vmf_log_prob,
        vmf_sample,
    )
    from wae_rnf_jax.trained import Codes, Interpolation, Run, Split, load_run  # noqa: F401

__version__ = "0.2.0"

__all__ = (
    "Codebook",
    "DiagonalGaussian",
    "FLOWS",
    "Flow",
    "ForwardPass",
    "Geodesic",
    "OBJECTIVES",
    "ObjectiveContext",
    "StandardNormal",
    "UniformSphere",
    "VonMisesFisher",
    "active_threshold",
    "active_units",
    "attract_regularizer",
    "batch_normalized_mean",
    "bos_inputs",
    "categorical_draws",
    "chain_forward_and_log_det",
    "chain_inverse_and_log_det",
    "chain_trajectory",
    "curve_energy",
    "curve_length",
    "cyclical_annealing",
    "embedding_dropout",
    "eos_targets",
    "example_dropout",
    "example_keys",
    "example_normal",
    "fisher_features",
    "fisher_metric_estimate",
    "flow_kl",
    "free_bits_kl",
    "fused_linear_cross_entropy",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_prob",
    "gaussian_mutual_information",
    "gaussian_sample",
    "geodesic",
    "importance_weighted_nll",
    "imq_kernel",
    "kmeans",
    "linear_annealing",
    "lstm_states",
    "match_regularizer",
    "metric_log_magnification",
    "mmd_squared_biased",
    "mmd_squared_in_groups",
    "mmd_squared_unbiased",
    "multi_scale_imq_kernel",
    "mutual_information",
    "nll_paper",
    "paper_annealing",
    "perplexity",
    "planar_forward_and_log_det",
    "planar_identity_params",
    "planar_inverse_and_log_det",
    "planar_paper_forward_and_log_det",
    "planar_paper_inverse_and_log_det",
    "planar_paper_params",
    "pullback_log_magnification",
    "pullback_log_magnification_estimate",
    "pullback_metric",
    "pullback_metric_product",
    "radial_forward_and_log_det",
    "radial_identity_params",
    "radial_inverse_and_log_det",
    "rbf_bandwidth",
    "rbf_kernel",
    "rbf_log_magnification",
    "rbf_precision",
    "refined_posterior",
    "repel_regularizer",
    "resampled_curve",
    "sampled_kl",
    "sequence_mask",
    "slerp",
    "sum_over_tokens",
    "vmf_entropy",
    "vmf_kl_to_uniform",
    "vmf_log_prob",
    "vmf_sample",
    "weight_dropout",
    "weighted_loss",
    "wishart_log_bias",
    "word_dropout",
)
_WITH_FLAX = ("Codes", "Interpolation", "Run", "Split", "load_run")  # public too
