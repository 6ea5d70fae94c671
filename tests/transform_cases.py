"""The public functions with arguments to try them on, drawn anew for each seed."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import wae_rnf_jax as wae

BATCH, DIM, CENTERS, STEPS, VOCABULARY, TIME = 3, 2, 4, 2, 5, 6


class Case(NamedTuple):
    """A function, the makers of its array arguments, and whether it draws by a random key."""

    function: Callable
    arguments: tuple
    keyed: bool = False


def floats(*shape):
    return lambda rng: rng.normal(size=shape)


def integers(high, *shape):
    return lambda rng: rng.integers(1, high, shape)


def mask(*shape):
    return lambda rng: rng.random(shape) < 0.8


def key(*shape):
    return lambda rng: jax.random.split(jax.random.key(rng.integers(2**31)), shape)


def planar(*stack):
    return {"u": floats(*stack, DIM), "w": floats(*stack, DIM), "b": floats(*stack)}


def radial(*stack):
    return {
        "reference": floats(*stack, DIM),
        "alpha_raw": floats(*stack),
        "beta_raw": floats(*stack),
    }


def unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


ROWS = floats(BATCH, DIM)
POSTERIOR = (ROWS, ROWS, ROWS)
RBF_METRIC = {"bandwidth": 0.7, "floor": 0.01}
KERNEL = partial(wae.rbf_kernel, bandwidth=1.2)


def with_kernel(estimate):
    return lambda x, y, where: estimate(x, y, kernel=KERNEL, where=where)


def refined(mean, log_var):
    """Of a bound that pulls every sentence towards its own start."""

    def bound(posterior, step):
        return posterior.kl() + jnp.square(posterior.mean - mean).sum(-1)

    found = wae.refined_posterior(
        bound,
        wae.DiagonalGaussian(jnp.asarray(mean), jnp.asarray(log_var)),
        num_steps=2,
        rate=0.1,
        momentum=0.5,
        max_norm=1.0,
    )
    return found.mean + found.log_var


def weighted(nll, mmd):
    where = jnp.ones(nll.shape, bool)
    return wae.weighted_loss({"rec": (1.0, nll), "mmd": (10.0, mmd)}, where=where)


CASES = {
    "active_threshold": Case(
        lambda means: wae.active_units(means, wae.active_threshold(wae.UniformSphere(DIM))),
        (ROWS,),
    ),
    "active_units": Case(wae.active_units, (ROWS,)),
    "attract_regularizer": Case(
        partial(wae.attract_regularizer, sharpness=0.5),
        (floats(STEPS, BATCH, DIM), floats(CENTERS, DIM)),
    ),
    "batch_normalized_mean": Case(
        lambda mean, shift, where: wae.batch_normalized_mean(
            mean, scale=0.6, shift=shift, where=where
        ),
        (floats(2 * BATCH, DIM), floats(DIM), mask(2 * BATCH)),
    ),
    "bos_inputs": Case(wae.bos_inputs, (integers(VOCABULARY, BATCH, TIME),)),
    "categorical_draws": Case(
        partial(wae.categorical_draws, num_draws=4), (key(), floats(BATCH, 300)), keyed=True
    ),
    "chain_forward_and_log_det": Case(
        partial(wae.chain_forward_and_log_det, wae.planar_forward_and_log_det),
        (planar(STEPS), ROWS),
    ),
    "chain_inverse_and_log_det": Case(
        partial(wae.chain_inverse_and_log_det, wae.planar_inverse_and_log_det),
        (planar(STEPS), ROWS),
    ),
    "chain_trajectory": Case(
        partial(wae.chain_trajectory, wae.radial_forward_and_log_det), (radial(STEPS), ROWS)
    ),
    "curve_energy": Case(partial(wae.curve_energy, jnp.sin, refinement=2), (ROWS,)),
    "curve_length": Case(partial(wae.curve_length, jnp.sin, refinement=2), (ROWS,)),
    "cyclical_annealing": Case(
        wae.cyclical_annealing(period=7, rise=0.5, maximum=0.9), (integers(90, BATCH),)
    ),
    "embedding_dropout": Case(
        partial(wae.embedding_dropout, rate=0.4),
        (key(BATCH), floats(BATCH, TIME, DIM), integers(VOCABULARY, BATCH, TIME)),
        keyed=True,
    ),
    "eos_targets": Case(
        wae.eos_targets, (integers(VOCABULARY, BATCH, TIME), integers(TIME + 1, BATCH))
    ),
    "example_dropout": Case(
        partial(wae.example_dropout, rate=0.4), (key(BATCH), floats(BATCH, TIME)), keyed=True
    ),
    "example_keys": Case(
        lambda key, index: jax.random.key_data(wae.example_keys(key, index)),
        (key(), integers(90, BATCH)),
        keyed=True,
    ),
    "example_normal": Case(
        lambda keys: wae.example_normal(keys, (TIME,)), (key(BATCH),), keyed=True
    ),
    "fisher_features": Case(wae.fisher_features, (floats(BATCH, VOCABULARY),)),
    "fisher_metric_estimate": Case(
        partial(wae.fisher_metric_estimate, num_words=3),
        (key(), floats(TIME, 3, DIM), floats(TIME, VOCABULARY), floats(3, VOCABULARY)),
        keyed=True,
    ),
    "flow_kl": Case(wae.flow_kl, (ROWS, *POSTERIOR, floats(BATCH))),
    "free_bits_kl": Case(partial(wae.free_bits_kl, floor=0.3), (ROWS, ROWS)),
    "fused_linear_cross_entropy": Case(
        partial(wae.fused_linear_cross_entropy, block_size=2),
        (ROWS, floats(DIM, VOCABULARY), floats(VOCABULARY), integers(VOCABULARY, BATCH)),
    ),
    "gaussian_entropy": Case(wae.gaussian_entropy, (ROWS,)),
    "gaussian_kl": Case(wae.gaussian_kl, (ROWS, ROWS)),
    "gaussian_log_prob": Case(wae.gaussian_log_prob, POSTERIOR),
    "gaussian_mutual_information": Case(
        lambda z, mean, log_var, where: wae.gaussian_mutual_information(
            z, mean, log_var, block_size=2, where=where
        ),
        (*POSTERIOR, mask(BATCH)),
    ),
    "gaussian_sample": Case(wae.gaussian_sample, POSTERIOR),
    "importance_weighted_nll": Case(wae.importance_weighted_nll, (floats(6, BATCH),)),
    "geodesic": Case(
        lambda start, end: tuple(
            wae.geodesic(jnp.exp, start, end, num_points=3, num_steps=2, refinement=2)[:2]
        ),
        (floats(DIM), floats(DIM)),
    ),
    "imq_kernel": Case(partial(wae.imq_kernel, constant=0.8), (ROWS, floats(CENTERS, DIM))),
    "kmeans": Case(
        lambda key, points, where: wae.kmeans(
            key, points, where=where, num_clusters=CENTERS, num_iterations=2
        ),
        (key(), floats(12, DIM), mask(12)),
        keyed=True,
    ),
    "linear_annealing": Case(
        wae.linear_annealing(start=20, length=60, maximum=0.8), (integers(90, BATCH),)
    ),
    "lstm_states": Case(
        wae.lstm_states,
        (floats(STEPS, BATCH, 4 * DIM), floats(4 * DIM), floats(DIM, 4 * DIM), ROWS, ROWS),
    ),
    "match_regularizer": Case(
        partial(wae.match_regularizer, dim=DIM), (floats(BATCH), floats(BATCH), floats())
    ),
    "metric_log_magnification": Case(
        lambda factor: wae.metric_log_magnification(
            factor @ factor.T + jnp.eye(DIM, dtype=factor.dtype)
        ),
        (floats(DIM, DIM),),
    ),
    "mmd_squared_biased": Case(
        with_kernel(wae.mmd_squared_biased), (floats(6, DIM), ROWS, mask(6))
    ),
    "mmd_squared_in_groups": Case(
        partial(wae.mmd_squared_in_groups, kernel=KERNEL, group_size=3),
        (floats(6, DIM), floats(6, DIM)),
    ),
    "mmd_squared_unbiased": Case(
        with_kernel(wae.mmd_squared_unbiased), (floats(6, DIM), ROWS, mask(6))
    ),
    "multi_scale_imq_kernel": Case(wae.multi_scale_imq_kernel, (ROWS, floats(CENTERS, DIM))),
    "mutual_information": Case(
        lambda z, x, y, where: wae.mutual_information(
            unit(z), wae.VonMisesFisher(unit(x), jnp.exp(y)), block_size=2, where=where
        ),
        (ROWS, ROWS, floats(BATCH), mask(BATCH)),
    ),
    "nll_paper": Case(wae.nll_paper, (floats(BATCH), ROWS, ROWS, floats(BATCH))),
    "paper_annealing": Case(
        wae.paper_annealing(steps_per_epoch=9, start=2_000, length=9_000, maximum=0.8),
        (integers(90, BATCH),),
    ),
    "perplexity": Case(wae.perplexity, (floats(BATCH), integers(9, BATCH))),
    "planar_forward_and_log_det": Case(wae.planar_forward_and_log_det, (planar(), ROWS)),
    "planar_identity_params": Case(
        partial(wae.planar_identity_params, dim=3), (key(),), keyed=True
    ),
    "planar_inverse_and_log_det": Case(wae.planar_inverse_and_log_det, (planar(), ROWS)),
    "planar_paper_forward_and_log_det": Case(
        wae.planar_paper_forward_and_log_det, (planar(), ROWS)
    ),
    "planar_paper_inverse_and_log_det": Case(
        wae.planar_paper_inverse_and_log_det, (planar(), ROWS)
    ),
    "planar_paper_params": Case(partial(wae.planar_paper_params, dim=3), (key(),), True),
    "pullback_log_magnification": Case(
        partial(wae.pullback_log_magnification, jnp.sin), (floats(DIM),)
    ),
    "pullback_log_magnification_estimate": Case(
        lambda key, z: wae.pullback_log_magnification_estimate(
            key, jnp.sin, z, num_probes=2, num_iterations=2
        ),
        (key(), floats(DIM)),
        keyed=True,
    ),
    "pullback_metric": Case(partial(wae.pullback_metric, jnp.sin), (floats(DIM),)),
    "pullback_metric_product": Case(
        partial(wae.pullback_metric_product, jnp.sin), (floats(DIM), floats(DIM))
    ),
    "radial_forward_and_log_det": Case(wae.radial_forward_and_log_det, (radial(), ROWS)),
    "radial_identity_params": Case(
        partial(wae.radial_identity_params, dim=3), (key(),), keyed=True
    ),
    "radial_inverse_and_log_det": Case(wae.radial_inverse_and_log_det, (radial(), ROWS)),
    "rbf_bandwidth": Case(wae.rbf_bandwidth, (ROWS, floats(CENTERS, DIM), mask(BATCH))),
    "rbf_kernel": Case(KERNEL, (ROWS, floats(CENTERS, DIM))),
    "rbf_log_magnification": Case(
        partial(wae.rbf_log_magnification, **RBF_METRIC), (ROWS, floats(CENTERS, DIM))
    ),
    "rbf_precision": Case(partial(wae.rbf_precision, **RBF_METRIC), (ROWS, floats(CENTERS, DIM))),
    "refined_posterior": Case(refined, (ROWS, ROWS)),
    "repel_regularizer": Case(
        partial(wae.repel_regularizer, sharpness=0.5),
        (floats(STEPS, BATCH, DIM), floats(CENTERS, DIM)),
    ),
    "resampled_curve": Case(partial(wae.resampled_curve, num_points=5), (ROWS,)),
    "sampled_kl": Case(
        lambda z0, mean, log_var, zk, log_det: wae.sampled_kl(
            wae.DiagonalGaussian(mean, log_var), z0, zk, log_det
        ),
        (*POSTERIOR, ROWS, floats(BATCH)),
    ),
    "sequence_mask": Case(
        lambda lengths: wae.sequence_mask(lengths, TIME), (integers(TIME + 1, BATCH),)
    ),
    "sum_over_tokens": Case(wae.sum_over_tokens, (floats(BATCH, TIME), integers(TIME + 1, BATCH))),
    "slerp": Case(wae.slerp, (floats(DIM), floats(DIM), floats(BATCH))),
    "vmf_entropy": Case(lambda x: wae.vmf_entropy(jnp.exp(x), dim=DIM), (floats(BATCH),)),
    "vmf_kl_to_uniform": Case(
        lambda x: wae.vmf_kl_to_uniform(jnp.exp(x), dim=DIM), (floats(BATCH),)
    ),
    "vmf_log_prob": Case(
        lambda z, x, y: wae.vmf_log_prob(unit(z), unit(x), jnp.exp(y)),
        (ROWS, ROWS, floats(BATCH)),
    ),
    "vmf_sample": Case(lambda key, x: wae.vmf_sample(key, unit(x), 3.0), (key(), ROWS), keyed=True),
    "weight_dropout": Case(
        partial(wae.weight_dropout, rate=0.4), (key(), floats(TIME, DIM)), keyed=True
    ),
    "weighted_loss": Case(weighted, (floats(BATCH), floats())),
    "wishart_log_bias": Case(
        partial(wae.wishart_log_bias, dim=DIM), (lambda rng: rng.uniform(5, 90, BATCH),)
    ),
    "word_dropout": Case(
        partial(wae.word_dropout, rate=0.4),
        (key(BATCH), integers(VOCABULARY, BATCH, TIME)),
        keyed=True,
    ),
}
# Integer arguments or results, parameters drawn by a key, or no use for a derivative.
NOT_DIFFERENTIABLE = {
    *("active_threshold", "active_units", "bos_inputs", "categorical_draws", "eos_targets"),
    *("example_keys", "example_normal", "fisher_metric_estimate", "geodesic", "kmeans"),
    *("linear_annealing", "cyclical_annealing", "paper_annealing"),
    *("planar_identity_params", "planar_paper_params", "radial_identity_params"),
    *("sequence_mask", "word_dropout"),
}
DIFFERENTIABLE = [name for name in CASES if name not in NOT_DIFFERENTIABLE]


def arguments(case, seed, dtype=np.float32):
    rng = np.random.default_rng(seed)

    def draw(maker):
        value = maker(rng)
        kind = np.dtype(value.dtype).kind if isinstance(value, np.ndarray | np.generic) else ""
        return jnp.asarray(value, {"f": dtype, "i": np.int32}.get(kind))

    return jax.tree.map(draw, case.arguments)
