import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax.sharding import AxisType, PartitionSpec

import wae_rnf_jax as wae

bandwidth = jax.jit(wae.rbf_bandwidth)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 3)), rng.normal(size=(4, 3))


@pytest.mark.usefixtures("x64")
def test_precision_and_magnification_match_the_definitions(points):
    z, centers = points
    options = {"bandwidth": 0.8, "floor": 1e-3}
    expected = [references.rbf_precision(row, centers, **options) for row in z]
    np.testing.assert_allclose(wae.rbf_precision(z, centers, **options), expected, rtol=1e-12)
    expected = [references.rbf_log_magnification(row, centers, **options) for row in z]
    actual = wae.rbf_log_magnification(z, centers, **options)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_bandwidth_matches_the_definition_and_masks(points):
    rows, centers = points
    where = np.arange(8) < 5
    padded = np.where(where[:, None], rows, np.nan)
    for actual, kept in (
        (bandwidth(rows, centers), rows),
        (bandwidth(padded, centers, where), rows[:5]),
    ):
        np.testing.assert_allclose(actual, references.rbf_bandwidth(kept, centers), rtol=1e-12)


def test_bandwidth_over_an_axis_is_that_of_all_points(points):
    rows, centers = (jnp.asarray(x, jnp.float32) for x in points)
    where = jnp.arange(8) < 5
    mesh = jax.make_mesh((4,), ("i",), axis_types=(AxisType.Auto,))
    sharded, whole = PartitionSpec("i"), PartitionSpec()
    mapped = jax.shard_map(
        lambda *args: wae.rbf_bandwidth(*args, axis_name="i"),
        mesh=mesh,
        in_specs=(sharded, whole, sharded),
        out_specs=whole,
    )
    actual = jax.jit(mapped)(rows, centers, where)
    np.testing.assert_allclose(actual, bandwidth(rows, centers, where), rtol=1e-6)


def test_magnification_grows_away_from_the_centers():
    centers = jnp.zeros([1, 2])
    z = jnp.linspace(0.0, 10.0, 20)[:, None] * jnp.ones([1, 2])
    magnification = wae.rbf_log_magnification(z, centers, bandwidth=1.0, floor=1e-2)
    assert np.all(np.diff(magnification) >= 0)
    np.testing.assert_allclose(magnification[-1], -np.log(1e-2), rtol=1e-5)


def test_gradient_is_finite_at_a_center_and_far_away():
    centers = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    z = jnp.array([[0.0, 0.0], [1e4, 0.0]])

    def total(z, centers):
        return wae.rbf_log_magnification(z, centers, bandwidth=0.5, floor=1e-4).sum()

    value, gradients = jax.jit(jax.value_and_grad(total, (0, 1)))(z, centers)
    chex.assert_tree_all_finite((value, gradients))


def test_points_at_their_centers_leave_a_usable_bandwidth():
    centers = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    bandwidth = wae.rbf_bandwidth(centers, centers)
    assert bandwidth > 0
    precision = wae.rbf_precision(centers, centers, bandwidth=bandwidth, floor=0.1)
    np.testing.assert_allclose(precision, 1.1, rtol=1e-6)


def test_wrong_arguments_are_refused():
    z, centers = jnp.zeros([5, 3]), jnp.zeros([2, 3])
    options = {"bandwidth": 1.0, "floor": 1.0}
    for wrong in (centers[:, :2], centers[0], centers.astype(int)):
        with pytest.raises(AssertionError):
            wae.rbf_precision(z, wrong, **options)
    with pytest.raises(AssertionError):
        wae.rbf_bandwidth(z, centers, jnp.ones([4], bool))
    with pytest.raises(AssertionError):
        wae.rbf_bandwidth(z, centers, jnp.ones([5]))
    for name in options:
        with pytest.raises(ValueError, match=f"{name} must be positive"):
            wae.rbf_log_magnification(z, centers, **{**options, name: 0.0})
