import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

import wae_rnf_jax as wae

ROWS, DIM = 5, 3


@pytest.fixture
def posterior():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, DIM)), rng.normal(size=(ROWS, DIM))


@pytest.mark.usefixtures("x64")
def test_log_prob_matches_scipy(posterior):
    z = np.random.default_rng(1).normal(size=(ROWS, DIM))
    expected = references.gaussian_log_prob(z, *posterior)
    np.testing.assert_allclose(wae.gaussian_log_prob(z, *posterior), expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_kl_and_entropy_match_scipy(posterior):
    mean, log_var = posterior
    expected = references.gaussian_kl(mean, log_var)
    np.testing.assert_allclose(wae.gaussian_kl(mean, log_var), expected, rtol=1e-12)
    expected = references.gaussian_entropy(log_var)
    np.testing.assert_allclose(wae.gaussian_entropy(log_var), expected, rtol=1e-12)


def test_kl_near_the_prior_keeps_its_digits():
    """In float32 exp(x) - 1 - x is 0 or noise for x = 1e-3; the value is x²/4 a dimension."""
    kl = wae.gaussian_kl(jnp.zeros([1]), jnp.full([1], 1e-3))
    np.testing.assert_allclose(kl, 0.25e-6, rtol=1e-2)


def test_sample_has_the_moments_it_was_asked_for(key, posterior):
    mean, log_var = (jnp.asarray(x, jnp.float32) for x in posterior)
    draws = wae.gaussian_sample(mean, log_var, jax.random.normal(key, (20_000, ROWS, DIM)))
    error = np.sqrt(np.exp(log_var) / 20_000)
    assert np.all(np.abs(draws.mean(0) - mean) < 5 * error)
    np.testing.assert_allclose(draws.var(0), np.exp(log_var), rtol=0.06)


def test_leading_dimensions_broadcast(key, posterior):
    mean, log_var = (jnp.asarray(x, jnp.float32) for x in posterior)
    draws = jax.random.normal(key, (4, ROWS, DIM))
    together = wae.gaussian_log_prob(draws, mean, log_var)
    assert together.shape == (4, ROWS)
    apart = jnp.stack([wae.gaussian_log_prob(z, mean, log_var) for z in draws])
    np.testing.assert_allclose(together, apart, rtol=1e-6)


@pytest.mark.parametrize("log_var", [-20.0, 20.0])
def test_values_and_gradients_are_finite_at_extreme_variances(log_var):
    def total(z, mean, log_var):
        sample = wae.gaussian_sample(mean, log_var, z)
        terms = (wae.gaussian_log_prob(z, mean, log_var), wae.gaussian_kl(mean, log_var))
        return sum(terms) + wae.gaussian_entropy(log_var) + jnp.sum(sample)

    ones = jnp.ones([DIM])
    value, gradients = jax.value_and_grad(total, (0, 1, 2))(ones, 0.5 * ones, log_var * ones)
    chex.assert_tree_all_finite((value, gradients))


@pytest.mark.parametrize("log_var", [-95.0, -88.0, 88.0, 95.0])
def test_log_prob_is_right_where_a_variance_or_its_inverse_overflows(log_var):
    mean = jnp.zeros([1])
    z = mean + jnp.exp(0.5 * jnp.full([1], log_var))
    found = wae.gaussian_log_prob(z, mean, jnp.full([1], log_var))
    np.testing.assert_allclose(found, -0.5 * (1.0 + log_var + np.log(2 * np.pi)), rtol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: wae.gaussian_kl(jnp.zeros([2, 3]), jnp.zeros([3])),
        lambda: wae.gaussian_kl(jnp.zeros([]), jnp.zeros([])),
        lambda: wae.gaussian_kl(jnp.zeros([3], int), jnp.zeros([3])),
        lambda: wae.gaussian_entropy(jnp.zeros([3], int)),
        lambda: wae.gaussian_log_prob(jnp.zeros([1]), jnp.zeros([3]), jnp.zeros([3])),
        lambda: wae.gaussian_sample(jnp.zeros([3]), jnp.zeros([3]), jnp.zeros([2])),
    ],
)
def test_wrong_shapes_and_dtypes_are_refused(call):
    with pytest.raises(AssertionError):
        call()


class FreeBitsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True)
    def test_every_dimension_counts_at_least_the_floor(self):
        mean, log_var = jnp.array([[2.0, 0.1, 0.0]]), jnp.zeros((1, 3))
        kl = self.variant(lambda m, v: wae.free_bits_kl(m, v, floor=0.25))(mean, log_var)
        np.testing.assert_allclose(kl, [2.0 + 0.25 + 0.25], rtol=1e-6)


def test_free_bits_without_a_floor_are_the_kl(posterior):
    mean, log_var = (jnp.asarray(x, jnp.float32) for x in posterior)
    free = wae.free_bits_kl(mean, log_var, floor=0.0)
    np.testing.assert_allclose(free, wae.gaussian_kl(mean, log_var), rtol=1e-6)
    gradients = [
        jax.grad(lambda m, v, f=f: f(m, v).sum(), argnums=(0, 1))(mean, log_var)
        for f in (wae.gaussian_kl, lambda m, v: wae.free_bits_kl(m, v, floor=0.0))
    ]
    chex.assert_trees_all_close(*gradients, rtol=1e-5, atol=1e-6)


def test_below_the_floor_the_gradient_is_exactly_zero():
    mean, log_var = jnp.array([2.0, 0.3, 0.0]), jnp.array([0.0, -0.3, 0.2])
    of_mean, of_log_var = jax.grad(lambda m, v: wae.free_bits_kl(m, v, floor=0.25), argnums=(0, 1))(
        mean, log_var
    )
    np.testing.assert_array_equal(of_mean, [2.0, 0.0, 0.0])
    np.testing.assert_array_equal(of_log_var, [0.0, 0.0, 0.0])


@pytest.mark.parametrize("floor", [-0.1, float("nan")])
def test_a_floor_below_zero_is_refused(floor):
    with pytest.raises(ValueError, match="floor must be at least 0"):
        wae.free_bits_kl(jnp.zeros(2), jnp.zeros(2), floor=floor)
