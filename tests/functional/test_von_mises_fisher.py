"""Against mpmath at 50 digits, SciPy, and the exact moments and distribution of the draws."""

from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

import wae_rnf_jax as wae

DIMS = (2, 3, 4, 8, 32, 128, 512)
CONCENTRATIONS = tuple(10.0**k for k in range(-3, 5))
# (Z, κ) of the draws that are examined: near uniform, skewed, concentrated.
DRAWN = [(2, 0.5), (2, 1e3), (3, 4.0), (8, 10.0), (32, 80.0)]
NUM_DRAWS = 8_000


sample = jax.jit(wae.vmf_sample)


def unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def unit_rows(seed, *shape):
    rows = np.random.default_rng(seed).normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@cache
def exact(dim, concentration):
    """(log-density at the mode, divergence, entropy), their κ-derivatives, and A = E[μᵀz]."""
    with mpmath.workdps(50):
        half, kappa = mpmath.mpf(dim) / 2, mpmath.mpf(concentration)
        log_mean_exp = mpmath.log(mpmath.hyp0f1(half, kappa**2 / 4))
        length = mpmath.besseli(half, kappa) / mpmath.besseli(half - 1, kappa)
        slope = 1 - length**2 - (dim - 1) * length / kappa
        surface = mpmath.log(2 * mpmath.pi**half / mpmath.gamma(half))
        divergence = kappa * length - log_mean_exp
        values = (kappa - log_mean_exp - surface, divergence, surface - divergence)
        derivatives = (1 - length, kappa * slope, -kappa * slope)
        return np.float64(values), np.float64(derivatives), float(surface), float(length)


@cache
def computed(dim, double):
    """The three functions and their κ-derivatives over all concentrations, [3, K] each."""
    dtype = np.float64 if double else np.float32
    kappa = jnp.asarray(CONCENTRATIONS, dtype)
    mode = jnp.zeros([1, dim], dtype).at[:, 0].set(1.0)

    def values(kappa):
        return (
            wae.vmf_log_prob(mode, mode, kappa),
            wae.vmf_kl_to_uniform(kappa, dim=dim),
            wae.vmf_entropy(kappa, dim=dim),
        )

    both = jax.jit(lambda kappa: jax.jvp(values, (kappa,), (jnp.ones_like(kappa),)))
    return jax.device_get(both(kappa))


def check(dim, double, tolerance, derivative_tolerance):
    values, derivatives = computed(dim, double)
    dtype = np.float64 if double else np.float32
    for i, kappa in enumerate(CONCENTRATIONS):
        expected, slopes, surface, _ = exact(dim, float(dtype(kappa)))
        # Log-density and entropy are differences from the surface's logarithm and may vanish;
        # the divergence keeps its digits however small it is.
        sizes = np.maximum(np.abs(expected), (abs(surface), 0.0, abs(surface)))
        for value, desired, size in zip(values, expected, sizes, strict=True):
            assert value.dtype == dtype
            assert abs(np.float64(value[i]) - desired) <= tolerance * size
        actual = [np.float64(derivative[i]) for derivative in derivatives]
        np.testing.assert_allclose(actual, slopes, rtol=derivative_tolerance)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dim", DIMS)
def test_double_precision_matches_mpmath(dim):
    check(dim, double=True, tolerance=3e-14, derivative_tolerance=5e-13)


@pytest.mark.parametrize("dim", DIMS)
def test_single_precision_matches_mpmath(dim):
    check(dim, double=False, tolerance=5e-6, derivative_tolerance=1e-4)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dim, concentration", [(2, 0.3), (5, 40.0)])
def test_log_prob_matches_scipy(dim, concentration):
    z, mean_direction = unit_rows(0, 6, dim), unit_rows(1, dim)
    expected = stats.vonmises_fisher(mean_direction, concentration).logpdf(z)
    actual = jax.jit(wae.vmf_log_prob)(z, mean_direction, jnp.float64(concentration))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_log_prob_gradients_are_those_of_an_exponential_family():
    """κ·μᵀz less the normalizer: in z and μ linear, in κ with mean A of μᵀz and variance A'."""
    kappa, (z, mean_direction) = jnp.float64(7.0), unit_rows(0, 2, 4)

    def derivatives(*args):
        gradients = jax.grad(wae.vmf_log_prob, (0, 1, 2))(*args)
        return *gradients, jax.grad(jax.grad(wae.vmf_log_prob, 2), 2)(*args)

    in_z, in_mean, in_kappa, curvature = jax.jit(derivatives)(z, mean_direction, kappa)
    np.testing.assert_allclose(in_z, kappa * mean_direction, rtol=1e-12)
    np.testing.assert_allclose(in_mean, kappa * z, rtol=1e-12)
    _, slopes, _, length = exact(4, 7.0)
    np.testing.assert_allclose(in_kappa, z @ mean_direction - length, rtol=1e-12)
    np.testing.assert_allclose(curvature, -slopes[1] / kappa, rtol=1e-11)


def test_leading_dimensions_broadcast():
    z, mean_direction = unit_rows(0, 4, 5, 3), unit_rows(1, 5, 3)
    concentration = jnp.linspace(1.0, 9.0, 5)
    log_prob = jax.jit(wae.vmf_log_prob)
    together = log_prob(z, mean_direction, concentration)
    assert together.shape == (4, 5)
    for b in range(5):
        apart = log_prob(z[:, b], mean_direction[b], concentration[b])
        np.testing.assert_allclose(together[:, b], apart, rtol=1e-6)


@cache
def draws(dim, concentration):
    """[NUM_DRAWS, Z] around a direction that no axis is near to, and that direction."""
    mean_direction = unit(jnp.cos(jnp.arange(dim) + 2.0))
    directions = jnp.broadcast_to(mean_direction, (NUM_DRAWS, dim))
    z = sample(jax.random.key(dim), directions, jnp.float32(concentration))
    return np.float64(z), np.float64(mean_direction)


@pytest.mark.parametrize("dim, concentration", DRAWN)
def test_draws_are_unit_vectors_with_the_exact_moments(dim, concentration):
    """E[z] = A·μ and E[zzᵀ] = (A/κ)·I + (1 - Z·A/κ)·μμᵀ, entry by entry within 5 errors."""
    z, mean_direction = draws(dim, concentration)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-6)
    length = exact(dim, concentration)[3]
    across = length / concentration * np.eye(dim)
    along = (1 - dim * length / concentration) * np.outer(mean_direction, mean_direction)
    products = z[:, :, None] * z[:, None, :]
    for sample, expected in ((z, length * mean_direction), (products, across + along)):
        error = sample.std(0) / np.sqrt(NUM_DRAWS)
        assert np.all(np.abs(sample.mean(0) - expected) <= 5 * error)
    cosine = z @ mean_direction
    assert abs(cosine.mean() - length) <= 4 * cosine.std() / np.sqrt(NUM_DRAWS)


@pytest.mark.parametrize("dim, concentration", DRAWN)
def test_angles_to_the_mean_direction_have_the_exact_distribution(dim, concentration):
    z, mean_direction = draws(dim, concentration)
    # The chord keeps the digits of a small angle.
    angles = 2 * np.arcsin(np.minimum(np.linalg.norm(z - mean_direction, axis=-1) / 2, 1.0))
    grid = np.linspace(0.0, min(np.pi, 12 * np.sqrt(dim / concentration)), 20_001)
    density = np.sin(grid) ** (dim - 2) * np.exp(concentration * (np.cos(grid) - 1))
    cumulative = integrate.cumulative_trapezoid(density, grid, initial=0.0)
    result = stats.kstest(angles, lambda x: np.interp(x, grid, cumulative / cumulative[-1]))
    assert result.pvalue > 0.01


def around(key, x, concentration):
    return wae.vmf_sample(key, unit(x), concentration)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dim", [2, 5])
def test_derivative_of_a_draw_is_that_of_the_same_noise(key, dim):
    x = np.random.default_rng(dim).normal(size=(3, dim))
    keys = jax.random.split(key, 3)
    draw = jax.vmap(lambda key, x: around(key, x, 4.0))
    value_and_slope = jax.jit(lambda x, v: jax.jvp(partial(draw, keys), (x,), (v,)))
    for direction in np.random.default_rng(0).normal(size=(2, 3, dim)):
        _, slope = value_and_slope(x, direction)
        ahead, behind = (value_and_slope(x + h * direction, x)[0] for h in (1e-6, -1e-6))
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, atol=1e-8)


@cache
def expectation_gradients(kappa, points):
    """Gradients of cᵀz + (cᵀz)² at each point: of 4,000 draws, and of the known expectation."""
    c = jnp.array([0.5, -1.0, 2.0])
    length = exact(3, kappa)[3]

    def of_a_draw(x, key):
        projected = jnp.sum(c * around(key, x, kappa))
        return projected + projected**2

    def of_the_expectation(x):
        cosine = jnp.sum(c * unit(x))
        return length * cosine + (1 - 3 * length / kappa) * cosine**2

    keys = jax.random.split(jax.random.key(0), 4_000)
    drawn = jax.vmap(jax.vmap(jax.grad(of_a_draw), (None, 0)), (0, None))
    known = jax.vmap(jax.grad(of_the_expectation))
    return jax.device_get(jax.jit(lambda x: (drawn(x, keys), known(x)))(jnp.asarray(points)))


# Where one reflection or the other divides by zero, and on and near the border between them.
POINTS = ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-0.0, 0.0, -1.0), (1e-9, 0.6, -0.8))


@pytest.mark.parametrize("i", range(len(POINTS)), ids=map(str, POINTS))
def test_gradient_of_an_expectation(i):
    drawn, known = (np.float64(gradients[i]) for gradients in expectation_gradients(5.0, POINTS))
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(0) - known) <= 4 * error + 1e-5)
    assert np.all(error < 0.2)


def test_draws_are_constant_in_the_concentration(key):
    slope = jax.jit(jax.grad(lambda kappa: jnp.sum(around(key, jnp.ones([3]), kappa))))
    assert slope(3.0) == 0.0


def test_a_draw_depends_on_its_own_key_alone(key):
    keys = wae.example_keys(key, jnp.arange(5))
    mean_direction, concentration = unit_rows(0, 5, 3), jnp.array([0.1, 1.0, 10.0, 100.0, 1e4])
    together = jax.jit(jax.vmap(wae.vmf_sample))(keys, mean_direction, concentration)
    for b in range(5):
        apart = sample(keys[b], mean_direction[b], concentration[b])
        np.testing.assert_allclose(together[b], apart, atol=1e-6)


def test_concentrations_broadcast_to_independent_draws(key):
    z = sample(key, unit_rows(0, 1, 3), jnp.full([2, 4], 1e-3))
    assert z.shape == (2, 4, 3)
    assert len(np.unique(np.asarray(z)[..., 0])) == 8


def test_extremes_are_finite_and_what_is_not_a_number_ends(key):
    @jax.jit
    def all_at(kappa):
        z = wae.vmf_sample(key, unit_rows(0, 4), kappa)
        divergence = jax.value_and_grad(partial(wae.vmf_kl_to_uniform, dim=4))(kappa)
        return z, wae.vmf_log_prob(z, unit_rows(0, 4), kappa), divergence

    for kappa in (0.0, 1e-30, 1e8):
        chex.assert_tree_all_finite(all_at(kappa))
    assert np.all(np.isnan(all_at(np.nan)[0]))


ONES = jnp.ones([3])


@pytest.mark.parametrize(
    "call",
    [
        lambda: wae.vmf_log_prob(ONES[:2], ONES, 1.0),
        lambda: wae.vmf_log_prob(ONES[:1], ONES[:1], 1.0),
        lambda: wae.vmf_log_prob(jnp.ones([]), jnp.ones([]), 1.0),
        lambda: wae.vmf_log_prob(jnp.ones([3], int), ONES, 1.0),
        lambda: wae.vmf_log_prob(ONES, ONES, jnp.ones([], int)),
        lambda: wae.vmf_kl_to_uniform(jnp.ones([], int), dim=3),
        lambda: wae.vmf_sample(jax.random.key(0), jnp.ones([3], int), 1.0),
        lambda: wae.vmf_sample(jax.random.key(0), jnp.ones([]), 1.0),
        lambda: wae.vmf_sample(jax.random.key(0), ONES[:1], 1.0),
    ],
)
def test_wrong_shapes_and_dtypes_are_refused(call):
    with pytest.raises(AssertionError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: wae.vmf_log_prob(jnp.ones([2, 3]), jnp.ones([4, 3]), 1.0),
        lambda: wae.vmf_log_prob(jnp.ones([2, 3]), ONES, jnp.ones([4])),
        lambda: wae.vmf_sample(jax.random.key(0), jnp.ones([2, 3]), jnp.ones([4])),
    ],
)
def test_leading_dimensions_that_differ_are_refused(call):
    with pytest.raises(ValueError, match="Incompatible shapes"):
        call()


@pytest.mark.parametrize("concentration", [0, -1.5, float("nan"), float("inf")])
def test_a_number_that_is_no_concentration_is_refused(key, concentration):
    for call in (
        lambda: wae.vmf_log_prob(ONES, ONES, concentration),
        lambda: wae.vmf_kl_to_uniform(concentration, dim=3),
        lambda: wae.vmf_entropy(concentration, dim=3),
        lambda: wae.vmf_sample(key, ONES, concentration),
    ):
        with pytest.raises(ValueError, match="concentration must be positive and finite"):
            call()


def test_a_sphere_of_two_points_is_refused():
    with pytest.raises(ValueError, match="dim must be at least 2"):
        wae.vmf_kl_to_uniform(1.0, dim=1)


def test_many_draws_around_shared_directions_are_unit_vectors(key):
    """Past 16,000 of them, a fused sum was wrong on CPUs."""
    num_draws, batch = 51, 400
    mean_direction = jnp.tile(jnp.array([[0.6, -0.8], [-1.0, 0.0]]), (batch // 2, 1))
    concentration = jnp.full((batch,), 6.0)
    keys = jax.random.split(key, (num_draws, batch))
    sample = jax.vmap(jax.vmap(wae.vmf_sample), (0, None, None))
    draws = jax.jit(sample)(keys, mean_direction, concentration)
    np.testing.assert_allclose(jnp.linalg.norm(draws, axis=-1), 1.0, atol=1e-5)
