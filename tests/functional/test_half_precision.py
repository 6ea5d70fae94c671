"""float16 and bfloat16 are read as float32: a table of all functions, and what went wrong before.

float16 ends at 65,504; above 256 bfloat16 has no odd numbers.
"""

from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transform_cases import CASES, DIFFERENTIABLE, arguments

import wae_rnf_jax as wae

F16, BF16 = jnp.float16, jnp.bfloat16
each_dtype = pytest.mark.parametrize("dtype", [F16, BF16], ids=["float16", "bfloat16"])
# Of every function, for which the narrower range of the rarer dtype takes as long again.
each_dtype_of_all = pytest.mark.parametrize(
    "dtype",
    [pytest.param(F16, marks=pytest.mark.slow), BF16],
    ids=["float16", "bfloat16"],
)

# What maps or draws points, features or states returns them in the dtype of its arguments: so do
# these functions, of two results the first.
KEEP_THEIR_DTYPE = {
    *("batch_normalized_mean", "embedding_dropout", "example_dropout", "weight_dropout"),
    *("fisher_features", "gaussian_sample", "resampled_curve", "slerp"),
    *("lstm_states", "vmf_sample", "chain_forward_and_log_det", "chain_inverse_and_log_det"),
    *("chain_trajectory", "planar_forward_and_log_det", "planar_inverse_and_log_det"),
    *("planar_paper_forward_and_log_det", "planar_paper_inverse_and_log_det"),
    *("radial_forward_and_log_det", "radial_inverse_and_log_det"),
}
# Both results are states; or the case itself computes with what it is given before it calls.
BOTH_KEEP_THEIR_DTYPE = {"lstm_states"}
ROUND_ON_THEIR_OWN = {
    *("batch_normalized_mean", "lstm_states", "metric_log_magnification"),
    *("mutual_information", "vmf_entropy", "vmf_kl_to_uniform", "vmf_log_prob", "vmf_sample"),
}


def is_float(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def widened(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float32) if is_float(x) else x, tree)


def expected_dtypes(name, num_results, dtype):
    keep = name in KEEP_THEIR_DTYPE
    others = dtype if name in BOTH_KEEP_THEIR_DTYPE else jnp.float32
    return [dtype if keep else jnp.float32, *[others] * (num_results - 1)]


@cache
def jitted(name):
    return jax.jit(CASES[name].function)


@each_dtype_of_all
@pytest.mark.parametrize("name", [*DIFFERENTIABLE, "geodesic", "kmeans"])
def test_results_are_those_of_the_same_numbers_in_float32(name, dtype):
    args = arguments(CASES[name], 0, dtype)
    actual = [leaf for leaf in jax.tree.leaves(jitted(name)(*args)) if is_float(leaf)]
    wanted = [leaf for leaf in jax.tree.leaves(jitted(name)(*widened(args))) if is_float(leaf)]
    assert [leaf.dtype for leaf in actual] == expected_dtypes(name, len(actual), dtype)
    for a, b in zip(actual, wanted, strict=True):
        error = 1e-5 if a.dtype == jnp.float32 else float(jnp.finfo(dtype).eps)
        error = 10 * float(jnp.finfo(dtype).eps) if name in ROUND_ON_THEIR_OWN else error
        np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=error, atol=error)


@pytest.mark.slow
@each_dtype
@pytest.mark.parametrize("name", sorted(set(DIFFERENTIABLE) - ROUND_ON_THEIR_OWN))
def test_gradients_are_those_of_the_same_numbers_in_float32(name, dtype):
    args = arguments(CASES[name], 0, dtype)
    leaves, structure = jax.tree.flatten(args)
    places = [i for i, leaf in enumerate(leaves) if is_float(leaf)]

    @jax.jit
    def gradients(leaves):
        def total(variables):
            changed = dict(zip(places, variables, strict=True))
            full = [changed.get(i, leaf) for i, leaf in enumerate(leaves)]
            results = jax.tree.leaves(CASES[name].function(*structure.unflatten(full)))
            return sum((widened(leaf).sum() for leaf in results if is_float(leaf)), jnp.zeros(()))

        return jax.grad(total)([leaves[i] for i in places])

    actual, wanted = gradients(leaves), gradients(widened(leaves))
    for a, b in zip(actual, wanted, strict=True):
        assert a.dtype == dtype
        error = 2 * float(jnp.finfo(dtype).eps)
        scale = float(np.abs(b).max())
        np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=error, atol=error * scale)


def test_65536_samples_of_float16_have_a_finite_bound():
    nll = wae.importance_weighted_nll(jnp.zeros((65536, 1), F16))
    np.testing.assert_allclose(nll, [0.0], atol=1e-5)


@each_dtype
@pytest.mark.parametrize("estimate", [wae.mmd_squared_biased, wae.mmd_squared_unbiased])
def test_mmd_of_300_rows(estimate, dtype):
    x, y = (jax.random.normal(jax.random.key(i), (300, 4)).astype(dtype) for i in (0, 1))
    options = {"kernel": wae.multi_scale_imq_kernel, "where": jnp.arange(300) < 257}
    np.testing.assert_allclose(
        estimate(x, y, **options), estimate(*widened((x, y)), **options), rtol=1e-6
    )


@each_dtype
def test_bandwidth_of_5000_points(dtype):
    points = jnp.full((5_000, 2), 6.0, dtype)
    assert wae.rbf_bandwidth(points, jnp.zeros((1, 2), dtype)) == 6.0


@each_dtype
@pytest.mark.parametrize("kappa", [1_000.0, 30_000.0])
def test_von_mises_fisher_of_a_large_concentration(kappa, dtype):
    concentration = jnp.asarray(kappa, dtype)
    exact = float(concentration)
    for dim in (3, 600):
        actual = wae.vmf_kl_to_uniform(concentration, dim=dim)
        np.testing.assert_allclose(actual, wae.vmf_kl_to_uniform(exact, dim=dim), rtol=1e-6)
        mode = jnp.zeros(dim, dtype).at[0].set(1)
        actual = wae.vmf_log_prob(mode, mode, concentration)
        np.testing.assert_allclose(actual, wae.vmf_log_prob(*[widened(mode)] * 2, exact), rtol=1e-6)
        draws = wae.vmf_sample(jax.random.key(0), jnp.stack([mode] * 200), concentration)
        spread = np.float64(draws)[:, 1].std() * exact**0.5
        assert abs(spread - 1) < 0.25


@each_dtype
def test_half_precision_metrics_have_a_magnification(dtype):
    z = jnp.zeros(3, dtype)
    assert wae.metric_log_magnification(4 * jnp.eye(2, dtype=dtype)) == np.float32(np.log(4))
    actual = wae.pullback_log_magnification(lambda z: 2 * z.astype(dtype), z)
    np.testing.assert_allclose(actual, 3 * np.log(2), rtol=1e-6)
    found = wae.geodesic(lambda z: 3 * z, z, jnp.ones(3, dtype), num_points=4)
    np.testing.assert_allclose(found.length, 27**0.5, rtol=1e-3)
    assert found.converged


@each_dtype
def test_the_length_of_a_long_curve_adds_up(dtype):
    """1,001 pieces of length 300, of features that are narrow themselves."""
    curve = jnp.tile(jnp.array([[0.0], [300.0]], dtype), (501, 1))
    length = wae.curve_length(lambda z: z.astype(dtype), curve, refinement=1)
    np.testing.assert_allclose(length, 300_300, rtol=1e-5)


@each_dtype
def test_counts_and_sums_over_many_rows(dtype):
    values = jnp.full((1, 70_000), 2.0, dtype)
    assert wae.sum_over_tokens(values, jnp.array([70_000])) == 140_000
    np.testing.assert_allclose(
        wae.perplexity(jnp.asarray(60_000.0, dtype), jnp.array(70_001)),
        np.exp(float(jnp.asarray(60_000.0, dtype)) / 70_001),
        rtol=1e-6,
    )
    means = jnp.tile(jnp.array([[0.0], [2.0]], dtype), (35_000, 1))
    assert wae.active_units(means, threshold=0.99) == 1
    assert wae.active_units(means, threshold=1.01) == 0
    centers, _ = wae.kmeans(jax.random.key(0), means, num_clusters=1, num_iterations=1)
    np.testing.assert_allclose(centers, [[1.0]], rtol=1e-6)


@each_dtype
def test_mutual_information_of_many_rows(dtype):
    means = jnp.zeros((300, 1), dtype)
    mi = wae.gaussian_mutual_information(means, means, means, block_size=300)
    np.testing.assert_allclose(mi, 0.0, atol=1e-5)


@each_dtype
def test_an_lstm_cell_counts_on(dtype):
    """With all gates open it counts its steps."""
    gates = jnp.full((400, 1, 4), 20.0, dtype)
    start = jnp.zeros((1, 1), dtype)
    _, c = wae.lstm_states(gates, jnp.zeros(4, dtype), jnp.zeros((1, 4), dtype), start, start)
    assert c.dtype == dtype
    assert c[-1, 0, 0] == 400


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_a_mean_over_many_tokens_do_not_vanish_in_float16(masked):
    """A token's share of a class's gradient is 2⁻²⁷ here, which float16 has not; 2,048 make one."""
    rows, classes = 2_048, 2_048
    hidden, targets = jnp.ones((rows, 1), F16), jnp.zeros(rows, int)
    # Not all alike: of cotangents that are, the backward pass may take the scale apart.
    weights = jnp.full(rows, 2.0**-16).at[0].multiply(2)

    def loss(kernel):
        nll = wae.fused_linear_cross_entropy(
            hidden,
            kernel,
            jnp.zeros(classes, F16),
            targets,
            block_size=256,
            where=jnp.ones(rows, bool) if masked else None,
        )
        return (weights * nll).sum()

    gradient = jax.jit(jax.grad(loss))(jnp.zeros((1, classes), F16))
    np.testing.assert_allclose(np.float64(gradient[0, 1:]), 2.0**-16, rtol=1e-2)


def test_gaussian_values_beyond_the_range_of_float16():
    mean, log_var = jnp.full(32, 200.0, F16), jnp.zeros(32, F16)
    values = (
        wae.gaussian_kl(mean, log_var),
        wae.gaussian_log_prob(mean, -mean, log_var),
        wae.match_regularizer(mean, -mean, jnp.zeros((), F16), dim=1),
        wae.imq_kernel(mean[None], -mean[None], constant=jnp.asarray(60_000.0, F16)),
    )
    chex.assert_tree_all_finite(values)
    assert all(value.dtype == jnp.float32 for value in values)


@each_dtype
def test_chains_are_rounded_once(dtype):
    """A hundred steps of half precision would lose what a hundred of float32 keep."""
    step = wae.radial_identity_params(jax.random.key(0), 2)
    params = jax.tree.map(lambda x: jnp.stack([(x + 0.01).astype(dtype)] * 100), step)
    params["beta_raw"] = (params["beta_raw"] + 0.02).astype(dtype)
    z = jnp.ones((3, 2), dtype)
    chain = partial(wae.chain_forward_and_log_det, wae.radial_forward_and_log_det)
    (y, log_det), (wanted, wanted_log_det) = chain(params, z), chain(*widened((params, z)))
    np.testing.assert_array_equal(y, wanted.astype(dtype))
    np.testing.assert_allclose(log_det, wanted_log_det, rtol=1e-6)
