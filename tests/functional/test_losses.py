import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references_likelihood as references

import wae_rnf_jax as wae

STEPS, BATCH, DIM, CENTERS = 3, 6, 4, 5
REGULARIZERS = {
    "attract": (wae.attract_regularizer, references.attract),
    "repel": (wae.repel_regularizer, references.repel),
}
each_regularizer = pytest.mark.parametrize(
    "regularizer, reference", REGULARIZERS.values(), ids=REGULARIZERS.keys()
)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(STEPS, BATCH, DIM))


@pytest.fixture(scope="module")
def centers():
    return np.random.default_rng(1).normal(size=(CENTERS, DIM))


@pytest.mark.usefixtures("x64")
@each_regularizer
@pytest.mark.parametrize("sharpness", [0.0, 0.5, 3.0])
def test_regularizers_match_the_formulas(regularizer, reference, points, centers, sharpness):
    actual = regularizer(jnp.asarray(points), jnp.asarray(centers), sharpness=sharpness)
    assert actual.shape == (BATCH,)
    np.testing.assert_allclose(actual, reference(points, centers, sharpness), rtol=1e-12)


@each_regularizer
def test_gradient_at_a_center_is_zero_and_not_nan(regularizer, reference, centers):
    del reference
    centers = jnp.asarray(centers, jnp.float32)
    points = centers[None]
    value, gradient = jax.value_and_grad(
        lambda points: regularizer(points, centers, sharpness=0.5).sum()
    )(points)
    assert np.isfinite(value)
    np.testing.assert_array_equal(gradient, jnp.zeros_like(points))


@each_regularizer
def test_float32_is_exact_close_to_a_distant_center(regularizer, reference):
    """‖z‖² + ‖c‖² − 2zᵀc has no digits left of a distance of .01 at norm 1000."""
    centers = np.array([[1000.0, 0.0], [0.0, 0.0]])
    points = np.array([[[1000.0, 0.5], [1000.0, 0.0]]])
    actual = regularizer(
        jnp.asarray(points, jnp.float32), jnp.asarray(centers, jnp.float32), sharpness=1.0
    )
    np.testing.assert_allclose(actual, reference(points, centers, 1.0), rtol=1e-5)


def test_the_two_pull_opposite_ways(centers):
    """Descent on `attract` nears a center, on `repel` leaves it."""
    centers = jnp.asarray(centers, jnp.float32)
    offset = jnp.full((1, CENTERS, DIM), 0.05)
    points = centers[None] + offset

    def outward(regularizer):
        slope = jax.grad(lambda p: regularizer(p, centers, sharpness=0.5).sum())(points)
        return (slope * offset).sum(axis=-1)

    assert (outward(wae.attract_regularizer) > 0).all()
    assert (outward(wae.repel_regularizer) < 0).all()


@each_regularizer
def test_no_steps_cost_nothing(regularizer, reference, centers):
    del reference
    nothing = regularizer(jnp.zeros((0, BATCH, DIM)), jnp.asarray(centers, float), sharpness=0.5)
    np.testing.assert_array_equal(nothing, jnp.zeros(BATCH))


@pytest.mark.usefixtures("x64")
def test_match_is_the_squared_mismatch_per_dimension():
    log_det, log_magnification = np.random.default_rng(2).normal(size=(2, BATCH))
    actual = wae.match_regularizer(
        jnp.asarray(log_det), jnp.asarray(log_magnification), jnp.array(0.3), dim=DIM
    )
    expected = ((log_det - log_magnification - 0.3) / DIM) ** 2
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_match_learns_the_mean_mismatch_as_its_offset():
    log_det, log_magnification = jnp.array([1.0, 2.0, 6.0]), jnp.array([0.0, 0.0, 3.0])
    slope = jax.grad(lambda o: wae.match_regularizer(log_det, log_magnification, o, dim=2).mean())
    np.testing.assert_allclose(slope(jnp.array(2.0)), 0.0, atol=1e-7)
    assert slope(jnp.array(1.0)) < 0 < slope(jnp.array(3.0))


@pytest.fixture(scope="module")
def affine_flow():
    """Posterior, draws, and zk = scale·z0 + shift, whose law is Gaussian again."""
    rng = np.random.default_rng(3)
    mean, log_var = rng.normal(size=(2, DIM))
    scale, shift = np.exp(rng.normal(size=DIM)), rng.normal(size=DIM)
    z0 = mean + np.exp(0.5 * log_var) * rng.normal(size=(20_000, DIM))
    zk = scale * z0 + shift
    exact = references.gaussian_divergence(
        scale * mean + shift, log_var + 2 * np.log(scale), np.zeros(DIM), np.zeros(DIM)
    )
    return z0, zk, mean, log_var, np.log(scale).sum(), exact


@pytest.mark.usefixtures("x64")
def test_flow_kl_is_the_log_ratio_of_densities_at_zk(affine_flow):
    z0, zk, mean, log_var, log_det, exact = affine_flow
    means, log_vars = (np.broadcast_to(x, z0.shape) for x in (mean, log_var))
    arguments = (z0, zk, means, log_vars, np.full(len(z0), log_det))
    kl = np.asarray(wae.flow_kl(*map(jnp.asarray, arguments)))
    zeros = np.zeros_like(zk)
    posterior = references.normal_log_prob(z0, mean, log_var) - log_det
    np.testing.assert_allclose(kl, posterior - references.normal_log_prob(zk, zeros, zeros))
    assert abs(kl.mean() - exact) < 4 * kl.std() / np.sqrt(len(kl))


@pytest.mark.parametrize("log_var", [-20.0, 20.0])
def test_flow_kl_is_finite_at_extreme_variances(log_var):
    def kl(mean, log_var, noise):
        z0 = mean + jnp.exp(0.5 * log_var) * noise
        return wae.flow_kl(z0, 2.0 * z0, mean, log_var, jnp.full(BATCH, DIM * jnp.log(2.0))).sum()

    ones = jnp.ones((BATCH, DIM))
    value, gradients = jax.value_and_grad(kl, (0, 1))(ones, log_var * ones, 0.5 * ones)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


POINTS, ROWS, SCALARS = np.ones((STEPS, BATCH, DIM)), np.ones((BATCH, DIM)), np.ones(BATCH)
WRONG = {
    "negative sharpness": lambda: wae.repel_regularizer(POINTS, ROWS, sharpness=-1.0),
    "negative sharpness, attract": lambda: wae.attract_regularizer(POINTS, ROWS, sharpness=-1.0),
    "no centers": lambda: wae.repel_regularizer(POINTS, np.ones((0, DIM)), sharpness=1.0),
    "centers of another dimension": lambda: wae.repel_regularizer(
        POINTS, np.ones((2, DIM + 1)), sharpness=1.0
    ),
    "centers of rank 1": lambda: wae.repel_regularizer(POINTS, np.ones(DIM), sharpness=1.0),
    "points of rank 1": lambda: wae.attract_regularizer(np.ones(DIM), ROWS, sharpness=1.0),
    "dimension zero": lambda: wae.match_regularizer(SCALARS, SCALARS, np.ones(()), dim=0),
    "offset of rank 1": lambda: wae.match_regularizer(SCALARS, SCALARS, np.ones(1), dim=1),
    "different batches": lambda: wae.match_regularizer(SCALARS, ROWS, np.ones(()), dim=1),
    "log-det per dimension": lambda: wae.flow_kl(ROWS, ROWS, ROWS, ROWS, ROWS),
    "mean of another shape": lambda: wae.flow_kl(ROWS, ROWS, ROWS[:1], ROWS, SCALARS),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_rejected(call):
    with pytest.raises((ValueError, AssertionError)):
        call()
