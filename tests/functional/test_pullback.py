import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae

metric = jax.jit(wae.pullback_metric, static_argnums=0, static_argnames="metric")
log_magnification = jax.jit(wae.pullback_log_magnification, static_argnums=0)
estimate = jax.jit(
    wae.pullback_log_magnification_estimate,
    static_argnums=1,
    static_argnames=("num_probes", "num_iterations"),
)

_WEIGHTS = np.random.default_rng(0).normal(size=(9, 4))


def decode(z):
    """A smooth map of R⁴ into R³ˣ³ whose Jacobian changes with z."""
    return jnp.tanh(jnp.asarray(_WEIGHTS, z.dtype) @ z).reshape(3, 3) + 0.1 * z[0] ** 2


def jacobian(z, step=1e-6):
    steps = step * np.eye(4)
    ahead, behind = (np.asarray(jax.jit(jax.vmap(decode))(z[None] + s)) for s in (steps, -steps))
    return ((ahead - behind) / (2 * step)).reshape(4, -1).T


@pytest.fixture
def code():
    return jnp.asarray(np.random.default_rng(1).normal(size=4))


@pytest.mark.usefixtures("x64")
def test_metric_is_that_of_finite_differences(code):
    z = jnp.asarray(code, jnp.float64)
    expected = jacobian(z).T @ jacobian(z)
    np.testing.assert_allclose(metric(decode, z), expected, rtol=1e-7, atol=1e-8)
    vector = jnp.arange(1.0, 5.0)
    product = jax.jit(wae.pullback_metric_product, static_argnums=0)(decode, z, vector)
    np.testing.assert_allclose(product, expected @ vector, rtol=1e-7)
    magnification = 0.5 * np.linalg.slogdet(expected)[1]
    actual = log_magnification(decode, z)
    np.testing.assert_allclose(actual, magnification, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("x64")
def test_metric_of_the_features_is_pulled_back(code):
    z = jnp.asarray(code, jnp.float64)

    def flat(z):
        return decode(z).ravel()

    scale = jnp.arange(1.0, 10.0)
    actual = metric(flat, z, metric=lambda y: jnp.diag(scale * (1 + y[0] ** 2)))
    weight = np.diag(np.asarray(scale) * (1 + float(flat(z)[0]) ** 2))
    expected = jacobian(z).T @ weight @ jacobian(z)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("x64")
def test_fisher_features_pull_back_the_fisher_information(code):
    """Σ_v (∂p_v)(∂p_v)ᵀ/p_v, the definition, for p = softmax(W·z)."""
    z, weights = jnp.asarray(code, jnp.float64), jnp.asarray(_WEIGHTS)
    p = jax.nn.softmax(weights @ z)
    rows = jax.jit(jax.jacfwd(lambda z: jax.nn.softmax(weights @ z)))(z)
    expected = rows.T @ (rows / p[:, None])
    actual = metric(lambda z: wae.fisher_features(weights @ z), z)
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)


def test_fisher_features_of_impossible_words_are_finite_with_finite_gradients():
    logits = jnp.array([0.0, -1e4, 80.0])
    features = wae.fisher_features(logits)
    np.testing.assert_allclose(features, [0.0, 0.0, 2.0], atol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: (wae.fisher_features(x) ** 3).sum()))(logits)
    assert np.isfinite(gradient).all()


@pytest.mark.usefixtures("x64")
def test_estimate_with_all_iterations_has_the_exact_mean(code):
    """The mean over all sign vectors of vᵀ·log(G)·v is the trace: here all 16 are the probes."""
    z = jnp.asarray(code, jnp.float64)
    exact = log_magnification(decode, z)
    estimates = np.array(
        [
            estimate(jax.random.key(seed), decode, z, num_probes=200, num_iterations=4)
            for seed in range(4)
        ]
    )
    error = estimates.std(ddof=1) / 2
    assert abs(estimates.mean() - exact) < 4 * error + 1e-9
    assert error < 0.2


@pytest.mark.usefixtures("x64")
def test_estimate_of_an_isotropic_metric_is_exact_at_large_dimension():
    """One distinct eigenvalue: the Krylov space is exhausted at once, whatever is asked for."""

    def estimate(scale):
        return wae.pullback_log_magnification_estimate(
            jax.random.key(0), lambda z: scale * z, jnp.zeros(500), num_probes=2, num_iterations=7
        )

    value, gradient = jax.jit(jax.value_and_grad(estimate))(3.0)
    np.testing.assert_allclose(value, 500 * np.log(3.0), rtol=1e-12)
    np.testing.assert_allclose(gradient, 500 / 3.0, rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_estimate_in_more_dimensions_than_iterations():
    spread = jnp.linspace(1.0, 3.0, 300)
    options = {"num_probes": 4, "num_iterations": 12}
    actual = estimate(jax.random.key(1), lambda z: spread * z, jnp.zeros(300), **options)
    # A diagonal G: every probe of signs gives the trace itself, and log is smooth on [1, 9].
    np.testing.assert_allclose(actual, np.log(np.linspace(1, 3, 300)).sum(), rtol=1e-3)


def test_degenerate_metric_has_no_magnification():
    flat = wae.pullback_log_magnification(lambda z: jnp.stack([z[0], z[0]]), jnp.ones(2))
    assert not np.isfinite(flat)


def test_bad_arguments_are_refused():
    with pytest.raises(AssertionError):
        wae.pullback_metric(decode, jnp.zeros([2, 4]))
    with pytest.raises(AssertionError):
        wae.pullback_metric(decode, jnp.zeros([4], jnp.int32))
    with pytest.raises(AssertionError):
        wae.pullback_metric_product(decode, jnp.zeros([4]), jnp.zeros([3]))
    with pytest.raises(AssertionError):
        wae.metric_log_magnification(jnp.zeros([2, 3]))
    with pytest.raises(ValueError, match="num_probes must be at least 1, got 0"):
        wae.pullback_log_magnification_estimate(
            jax.random.key(0), decode, jnp.zeros([4]), num_probes=0, num_iterations=1
        )
    chex.assert_shape(wae.pullback_metric(decode, jnp.zeros([4])), (4, 4))
