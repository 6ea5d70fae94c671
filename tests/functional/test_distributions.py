"""Against SciPy's densities, integrals of them over the support, and the moments of draws."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import references
from posterior_cases import (
    BATCH,
    SUPPORTS,
    leaves,
    make,
    mean_over,
    quadrature,
    reference_log_prob,
    unit,
)
from scipy import stats

import wae_rnf_jax as wae

NUM_DRAWS = 6_000


@jax.jit
def statistics(posterior):
    return posterior.kl(), posterior.entropy(), posterior.spread, posterior.center


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("support", SUPPORTS)
def test_densities_are_scipys_and_integrate_to_one(support):
    points, weights = quadrature(support)
    posterior = make(support, np.float64)
    log_prob = jax.jit(lambda posterior, z: posterior.log_prob(z[:, None]))(posterior, points)
    prior_log_prob = posterior.prior.log_prob(jnp.asarray(points))
    for actual, desired in zip(
        (log_prob, prior_log_prob), reference_log_prob(support), strict=True
    ):
        np.testing.assert_allclose(actual, desired, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(weights @ np.exp(actual), 1.0, rtol=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("support", SUPPORTS)
def test_kl_entropy_and_spread_are_integrals(support):
    posterior_log_prob, prior_log_prob = reference_log_prob(support)
    points, center = quadrature(support)[0], leaves(support)[0]
    squared = np.sum((points[:, None] - center) ** 2, -1)
    kl, entropy, spread, actual_center = statistics(make(support, np.float64))
    np.testing.assert_array_equal(actual_center, center)
    for actual, values in (
        (kl, posterior_log_prob - prior_log_prob[:, None]),
        (entropy, -posterior_log_prob),
        (spread, squared),
    ):
        expected = np.diag(mean_over(support, values))
        np.testing.assert_allclose(actual, expected, rtol=1e-8)


@pytest.mark.parametrize("dim", [2, 3, 32, 512])
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 4e-5), (np.float64, 2e-13)])
@pytest.mark.usefixtures("x64")
def test_spread_of_a_concentrated_direction_keeps_its_digits(dim, dtype, tolerance):
    """2·(1 - I_{v+1}/I_v) at 50 digits, for κ up to where the ratio is 1 in single precision."""
    concentration = np.array([1e-3, 1.0, 80.0, 1e4, 1e7], dtype)
    with mpmath.workdps(50):
        v = mpmath.mpf(dim) / 2 - 1
        ratios = [
            mpmath.besseli(v + 1, float(x)) / mpmath.besseli(v, float(x)) for x in concentration
        ]
        expected = [float(2 * (1 - ratio)) for ratio in ratios]
    directions = jnp.zeros([5, dim], dtype).at[:, 0].set(1.0)
    spread = jax.jit(lambda p: p.spread)(wae.VonMisesFisher(directions, jnp.asarray(concentration)))
    np.testing.assert_allclose(spread, expected, rtol=tolerance)


def draws(posterior, keys):
    """[S, B, Z] of keys [S, B]."""
    return jax.jit(jax.vmap(lambda keys: posterior.sample(keys)))(keys)


@pytest.mark.parametrize("support", SUPPORTS)
def test_draws_have_the_moments_of_the_density(support, key):
    """First and second ones within 5 standard errors.

    There are more numbers than 32,768, beyond which one posterior's draws have been miscompiled.
    """
    posterior = make(support)
    z = np.float64(draws(posterior, jax.random.split(key, (NUM_DRAWS, BATCH))))
    if support != "plane":
        np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-6)
    points, center = quadrature(support)[0], leaves(support)[0]

    def moments(z, center):
        squared = np.sum((z - center) ** 2, -1, keepdims=True)
        products = z[..., :, None] * z[..., None, :]
        return np.concatenate([z, squared, products.reshape(*z.shape[:-1], -1)], -1)

    observed = moments(z, center)
    expected = mean_over(support, moments(np.repeat(points[:, None], BATCH, 1), center))
    expected = np.stack([expected[b, b] for b in range(BATCH)])
    error = observed.std(0) / np.sqrt(NUM_DRAWS)
    assert np.all(np.abs(observed.mean(0) - expected) <= 5 * error + 1e-6)


PRIORS = [wae.StandardNormal(1), wae.StandardNormal(32)]
PRIORS += [wae.UniformSphere(2), wae.UniformSphere(3), wae.UniformSphere(32)]


@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_draws_of_a_prior_have_its_distribution(prior, key):
    z = np.float64(prior.sample(wae.example_keys(key, jnp.arange(2 * NUM_DRAWS))))
    assert z.shape == (2 * NUM_DRAWS, prior.dim)
    squared = np.sum((z[:NUM_DRAWS] - z[NUM_DRAWS:]) ** 2, -1)
    error = squared.std() / np.sqrt(NUM_DRAWS)
    assert abs(squared.mean() - prior.mean_squared_distance) < 4 * error < 2
    marginal = stats.norm()
    if isinstance(prior, wae.UniformSphere):
        np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-6)
        shape = (prior.dim - 1) / 2  # (1 + a coordinate) / 2 is Beta(shape, shape)
        marginal = stats.beta(shape, shape, loc=-1, scale=2)
    for column in (z[:, 0], z[:, -1]):
        assert stats.kstest(column, marginal.cdf).pvalue > 1e-3
    products = z.T @ z / len(z) - z.var() * np.eye(prior.dim)
    assert np.all(np.abs(products) < 6 * z.var() * np.sqrt(2 / len(z)))


# The largest that float32 holds, the smallest that no machine takes for 0, and both in one.
FAR = [[3.4e38, -3.4e38, 3.4e38], [1.2e-38, 0.0, -1.2e-38], [1e-30, 1e30, 0.0], [3.0, -4.0, 12.0]]


def test_projection_divides_by_the_norm_of_large_and_small_codes():
    sphere = wae.UniformSphere(3)
    z = np.array(FAR, np.float32)
    expected = unit(np.float64(z))
    for projected in (sphere.projected, jax.jit(sphere.projected)):
        np.testing.assert_allclose(projected(jnp.asarray(z)), expected, rtol=1e-6, atol=1e-37)
    jacobians = jax.jit(jax.vmap(jax.jacrev(sphere.projected)))(jnp.asarray(z))
    across = np.eye(3) - expected[:, :, None] * expected[:, None, :]
    inverse_norm = 1.0 / np.linalg.norm(np.float64(z), axis=-1)[:, None, None]
    scaled = np.float64(jacobians) / inverse_norm
    # Single precision has no smaller numbers than 1e-38.
    np.testing.assert_allclose(scaled[1:], across[1:], atol=2e-6)
    chex.assert_tree_all_finite(jacobians)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_projection_of_narrow_codes_is_that_of_wide_ones(dtype):
    z = jnp.asarray([[3e-5, 4e-5, 0.0], [300.0, -400.0, 0.0]], dtype)
    found = wae.UniformSphere(3).projected(z)
    assert found.dtype == dtype
    np.testing.assert_array_equal(
        found, wae.UniformSphere(3).projected(z.astype(jnp.float32)).astype(dtype)
    )


def test_projection_of_the_origin_is_an_axis_without_a_gradient():
    sphere = wae.UniformSphere(3)
    z = jnp.array([[0.0, 0.0, 0.0], [-0.0, 0.0, -0.0], [1e-40, -1e-40, 0.0]])
    projected, gradient = jax.jit(
        jax.value_and_grad(lambda z: (lambda p: (p.sum(), p))(sphere.projected(z)), has_aux=True)
    )(z)
    np.testing.assert_array_equal(projected[1], np.broadcast_to([1.0, 0.0, 0.0], (3, 3)))
    np.testing.assert_array_equal(gradient, np.zeros([3, 3]))
    assert wae.StandardNormal(3).projected(z) is z


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("support", SUPPORTS)
def test_pairwise_is_log_prob_row_by_row(support, dtype, tolerance):
    """In value and in the derivatives, of which those in the leaves are sums over the codes."""
    posterior = make(support, dtype)
    chosen = np.random.default_rng(1).integers(0, len(quadrature(support)[0]), 5)
    z = jnp.asarray(quadrature(support)[0][chosen], dtype)
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(5, BATCH)), dtype)

    def by_rows(posterior, z):
        return jax.vmap(posterior.log_prob)(z)

    def pairwise(posterior, z):
        return posterior.pairwise_log_prob(z)

    def with_gradients(function):
        def total(posterior, z):
            result = function(posterior, z)
            return jnp.sum(weights * result), result

        (_, result), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(posterior, z)
        return result, gradients

    actual, desired = (jax.jit(partial(with_gradients, f))() for f in (pairwise, by_rows))
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, desired)
    chex.assert_trees_all_close(actual, desired, rtol=tolerance, atol=10 * tolerance)
    chex.assert_trees_all_close(
        actual[0],
        reference_log_prob(support)[0][chosen].astype(dtype),
        rtol=tolerance,
        atol=tolerance,
    )


def test_pairwise_keeps_the_digits_of_small_variances():
    """Far from the origin the expanded squares of the same numbers are off by many nats."""
    rng = np.random.default_rng(3)
    mean = np.float32(30.0 + 1e-3 * rng.normal(size=(6, 8)))
    log_var = np.full((6, 8), -14.0, np.float32)
    z = np.float32(mean[:4] + 1e-3 * rng.normal(size=(4, 8)))
    actual = jax.jit(wae.DiagonalGaussian.pairwise_log_prob)(wae.DiagonalGaussian(mean, log_var), z)
    scale = np.exp(np.float64(log_var) / 2)
    expected = stats.norm.logpdf(np.float64(z)[:, None], np.float64(mean), scale).sum(-1)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    expanded = (z**2).sum(-1)[:, None] + (mean**2).sum(-1) - 2 * z @ mean.T
    exact = ((np.float64(z)[:, None] - mean) ** 2).sum(-1)
    assert np.abs((expanded - exact) / (2 * scale[0, 0] ** 2)).max() > 10


@pytest.mark.parametrize("support", SUPPORTS)
def test_sampled_kl_without_a_flow_has_the_kl_as_its_mean(support, key):
    posterior, keys = make(support), jax.random.split(key, (NUM_DRAWS, BATCH))
    z = draws(posterior, keys)
    values = np.float64(jax.jit(wae.sampled_kl)(posterior, z, z, jnp.zeros(keys.shape)))
    assert values.shape == (NUM_DRAWS, BATCH)
    error = values.std(0) / np.sqrt(NUM_DRAWS)
    assert np.all(np.abs(values.mean(0) - posterior.kl()) <= 4 * error)
    assert np.all((error > 1e-3) & (error < 0.05))


SCALE, SHIFT = np.array([-1.5, 0.4]), np.array([0.3, -0.8])


@pytest.mark.usefixtures("x64")
def test_sampled_kl_with_an_affine_flow_is_that_of_the_gaussian_it_makes(key):
    """Draw by draw its log-ratio of densities, and in the mean its analytic KL."""
    posterior, (mean, log_var) = make("plane", np.float64), leaves("plane")
    z0 = np.asarray(draws(posterior, jax.random.split(key, (NUM_DRAWS, BATCH))))
    zk, log_det = SCALE * z0 + SHIFT, np.full(z0.shape[:-1], np.log(np.abs(SCALE)).sum())
    values = np.asarray(jax.jit(wae.sampled_kl)(posterior, *map(jnp.asarray, (z0, zk, log_det))))
    mean, log_var = SCALE * mean + SHIFT, log_var + 2 * np.log(np.abs(SCALE))
    expected = stats.norm.logpdf(zk, mean, np.exp(log_var / 2)) - stats.norm.logpdf(zk)
    np.testing.assert_allclose(values, expected.sum(-1), rtol=1e-10, atol=1e-10)
    error = values.std(0) / np.sqrt(NUM_DRAWS)
    assert np.all(np.abs(values.mean(0) - references.gaussian_kl(mean, log_var)) <= 4 * error)
    # Both terms of the flow count here.
    assert np.abs(references.gaussian_kl(mean, log_var) - posterior.kl()).min() > 0.1


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("support", SUPPORTS)
def test_results_have_the_dtype_and_the_shapes_of_the_batch(support, dtype, key):
    posterior = make(support, dtype)

    def results(posterior, keys):
        z = posterior.sample(keys)
        prior = posterior.prior.log_prob(z)
        kl = wae.sampled_kl(posterior, z, z, jnp.zeros_like(prior))
        per_example = [posterior.log_prob(z), *statistics(posterior)[:3], prior, kl]
        vectors = [z, posterior.center, posterior.prior.projected(z)]
        return per_example, vectors, posterior.pairwise_log_prob(z[:2])

    keys = wae.example_keys(key, jnp.arange(BATCH))
    per_example, vectors, pairs = jax.eval_shape(results, posterior, keys)  # traced, not run
    chex.assert_shape(per_example, (BATCH,))
    chex.assert_shape(vectors, (BATCH, posterior.prior.dim))
    chex.assert_shape(pairs, (2, BATCH))
    chex.assert_type([*per_example, *vectors, pairs], dtype)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_read_as_single(dtype):
    wide = wae.DiagonalGaussian(jnp.zeros([2, 3]), jnp.full([2, 3], 12.0))
    directions = jnp.eye(3)[:2]
    sphere = wae.VonMisesFisher(directions, jnp.full([2], 304.0))
    for posterior in (wide, sphere):
        narrow = jax.tree.map(lambda leaf: leaf.astype(dtype), posterior)
        for found, expected in zip(
            (narrow.spread, narrow.pairwise_log_prob(directions.astype(dtype))),
            (posterior.spread, posterior.pairwise_log_prob(directions)),
            strict=True,
        ):
            assert found.dtype == jnp.float32
            np.testing.assert_allclose(found, expected, rtol=1e-6)
    density = wae.UniformSphere(50).log_prob(jnp.eye(50, dtype=dtype)[0])
    np.testing.assert_allclose(density, wae.UniformSphere(50).log_prob(jnp.eye(50)[0]))


def test_pairwise_of_a_half_precision_posterior_takes_the_codes_precision():
    posterior = make("plane", jnp.bfloat16)
    z = jnp.ones([2, 2])
    pairs = posterior.pairwise_log_prob(z)
    assert pairs.dtype == jnp.float32
    np.testing.assert_allclose(pairs, posterior.log_prob(z[:, None]), rtol=2e-2)


def test_there_may_be_no_dimension_and_no_example(key):
    empty = wae.DiagonalGaussian(jnp.zeros([4, 0]), jnp.zeros([4, 0]))
    z = empty.sample(wae.example_keys(key, jnp.arange(4)))
    values = [*statistics(empty)[:3], empty.log_prob(z), empty.prior.log_prob(z)]
    for value in (*values, wae.sampled_kl(empty, z, z, jnp.zeros([4]))):
        np.testing.assert_array_equal(value, np.zeros(4))
    np.testing.assert_array_equal(empty.pairwise_log_prob(z[:3]), np.zeros([3, 4]))
    for support in ("plane", "sphere"):
        nobody = jax.tree.map(lambda leaf: leaf[:0], make(support))
        z = nobody.sample(wae.example_keys(key, jnp.arange(0)))
        assert z.shape == (0, nobody.prior.dim)
        assert nobody.pairwise_log_prob(nobody.center).shape == (0, 0)


KEYS = jax.random.split(jax.random.key(0), BATCH)
PLANE, SPHERE = make("plane"), make("sphere")
Z = jnp.ones([BATCH, 3])
WRONG = {
    "one key for all": lambda: PLANE.sample(KEYS[:1]),
    "one key for all directions": lambda: SPHERE.sample(KEYS[:1]),
    "keys of numbers": lambda: SPHERE.sample(jax.random.key_data(KEYS)),
    "keys of samples": lambda: SPHERE.sample(jnp.stack([KEYS, KEYS])),
    "prior of other codes": lambda: PLANE.prior.log_prob(Z),
    "sphere of other codes": lambda: SPHERE.prior.log_prob(Z[:, :2]),
    "sphere of integers": lambda: SPHERE.prior.log_prob(Z.astype(int)),
    "projection of other codes": lambda: SPHERE.prior.projected(Z[:, :2]),
    "log_prob of other codes": lambda: PLANE.log_prob(Z),
    "pairs with one code": lambda: SPHERE.pairwise_log_prob(Z[0]),
    "pairs with other codes": lambda: PLANE.pairwise_log_prob(Z),
    "pairs with integers": lambda: SPHERE.pairwise_log_prob(Z.astype(int)),
    "pairs of many batches": lambda: jax.tree.map(lambda x: x[None], SPHERE).pairwise_log_prob(Z),
    "kl with one log_det": lambda: wae.sampled_kl(SPHERE, Z, Z, jnp.zeros([])),
    "kl with log_det per dimension": lambda: wae.sampled_kl(SPHERE, Z, Z, Z),
    "kl with fewer zk": lambda: wae.sampled_kl(SPHERE, Z, Z[:1], jnp.zeros([BATCH])),
    "kl of one draw for all": lambda: wae.sampled_kl(SPHERE, Z[:1], Z[:1], jnp.zeros([1])),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_wrong_shapes_and_dtypes_are_refused(call):
    with pytest.raises(AssertionError):
        call()


def test_a_sphere_of_two_points_is_refused():
    with pytest.raises(ValueError, match="dim must be at least 2, got 1"):
        wae.UniformSphere(1)
