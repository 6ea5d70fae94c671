"""Text autoencoders with Riemannian normalizing flows: the public pure functions.

Importing this package loads jax and chex, and no library of models, data or pictures.
"""

from wae_rnf_jax.functional.clustering import kmeans
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
from wae_rnf_jax.functional.gaussian import (
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
    gaussian_sample,
)
from wae_rnf_jax.functional.kernels import imq_kernel, multi_scale_imq_kernel, rbf_kernel
from wae_rnf_jax.functional.mmd import mmd_squared_biased, mmd_squared_unbiased
from wae_rnf_jax.functional.riemannian import (
    rbf_bandwidth,
    rbf_log_magnification,
    rbf_precision,
)
from wae_rnf_jax.functional.schedules import cyclical_annealing, linear_annealing

__version__ = "0.1.0"

__all__ = (
    "FLOWS",
    "Flow",
    "chain_forward_and_log_det",
    "chain_inverse_and_log_det",
    "chain_trajectory",
    "cyclical_annealing",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_prob",
    "gaussian_sample",
    "imq_kernel",
    "kmeans",
    "linear_annealing",
    "mmd_squared_biased",
    "mmd_squared_unbiased",
    "multi_scale_imq_kernel",
    "planar_forward_and_log_det",
    "planar_identity_params",
    "planar_inverse_and_log_det",
    "planar_paper_forward_and_log_det",
    "planar_paper_inverse_and_log_det",
    "planar_paper_params",
    "radial_forward_and_log_det",
    "radial_identity_params",
    "radial_inverse_and_log_det",
    "rbf_bandwidth",
    "rbf_kernel",
    "rbf_log_magnification",
    "rbf_precision",
)
