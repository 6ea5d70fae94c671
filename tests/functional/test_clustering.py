import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from scipy.cluster.vq import kmeans2

import wae_rnf_jax as wae

OPTIONS = {"num_clusters": 3, "num_iterations": 4}
# Its primitives one by one would be compiled one by one.
kmeans = jax.jit(wae.kmeans, static_argnames=("num_clusters", "num_iterations", "axis_name"))


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(24, 2))


@pytest.mark.usefixtures("x64")
def test_lloyd_matches_scipy_from_the_same_seeds(key, points):
    seeds, _ = kmeans(key, points, num_clusters=4, num_iterations=0)
    centers, assignments = kmeans(key, points, num_clusters=4, num_iterations=3)
    expected, _ = kmeans2(points, np.asarray(seeds), iter=3, minit="matrix")
    np.testing.assert_allclose(centers, expected, rtol=1e-12)
    distances = np.linalg.norm(points[:, None] - expected[None], axis=-1)
    np.testing.assert_array_equal(assignments, distances.argmin(-1))


def test_seeds_are_drawn_in_proportion_to_squared_distance():
    """Of the points 0, 1 and 3 the probability of each ordered pair of seeds is known."""
    points = np.array([0.0, 1.0, 3.0])
    num_draws = 6_000

    def seeds(key):
        return kmeans(key, jnp.asarray(points)[:, None], num_clusters=2, num_iterations=0)[0]

    draws = jax.jit(jax.vmap(seeds))(jax.random.split(jax.random.key(1), num_draws))[..., 0]
    counts = collections.Counter(map(tuple, np.asarray(draws).tolist()))
    for first in points:
        squared = (points - first) ** 2
        for second, share in zip(points, squared / squared.sum() / 3, strict=True):
            error = np.sqrt(share * (1 - share) / num_draws)
            assert abs(counts[first, second] / num_draws - share) <= 4 * error


def test_padded_points_are_never_chosen_and_never_counted(key, points):
    padded = np.concatenate([np.full((7, 2), np.nan), points]).astype(np.float32)
    where = np.arange(31) >= 7
    centers, assignments = kmeans(key, padded, where=where, num_clusters=3, num_iterations=0)
    valid = {tuple(row) for row in padded[7:].tolist()}
    assert {tuple(row) for row in np.asarray(centers).tolist()} <= valid
    centers, assignments = kmeans(key, padded, where=where, **OPTIONS)
    for cluster in range(3):  # four iterations converge here: each center is its members' mean
        members = padded[7:][np.asarray(assignments)[7:] == cluster]
        np.testing.assert_allclose(centers[cluster], members.mean(0), rtol=1e-5, atol=1e-6)


def test_seeds_of_equal_points_are_still_valid_points(key):
    """No distance is left to draw in proportion to, and the padding comes first."""
    points = jnp.array([[0.0, 0.0], [0.0, 0.0], [5.0, 5.0], [5.0, 5.0], [5.0, 5.0]])
    where = jnp.arange(5) >= 2
    centers, _ = kmeans(key, points, where=where, num_clusters=3, num_iterations=1)
    np.testing.assert_array_equal(centers, np.full((3, 2), 5.0))


def test_an_empty_cluster_keeps_its_center(key):
    """Two distinct points and three clusters: ties go to the first, so one cluster is empty."""
    points = jnp.array([[0.0], [0.0], [1.0], [1.0]])
    seeds, _ = kmeans(key, points, num_clusters=3, num_iterations=0)
    centers, assignments = kmeans(key, points, num_clusters=3, num_iterations=3)
    assert len(set(np.asarray(assignments).tolist())) == 2
    np.testing.assert_array_equal(centers, seeds)
    assert {0.0, 1.0} == set(np.asarray(centers).ravel().tolist())


@pytest.mark.parametrize("transform", ["pmap", "shard_map"])
def test_over_an_axis_it_is_the_global_clustering(transform, key, points):
    points = jnp.asarray(points, jnp.float32)
    where = jnp.arange(24) < 20
    expected = kmeans(key, points, where=where, **OPTIONS)

    def local(key, points, where):
        return kmeans(key, points, where=where, axis_name="i", **OPTIONS)

    if transform == "pmap":
        mapped = jax.pmap(local, "i", in_axes=(None, 0, 0), out_axes=(None, 0))
        centers, assignments = mapped(key, points.reshape(4, 6, 2), where.reshape(4, 6))
    else:
        mesh = jax.make_mesh((4,), ("i",), axis_types=(AxisType.Auto,))
        sharded, whole = PartitionSpec("i"), PartitionSpec()
        mapped = jax.shard_map(
            local, mesh=mesh, in_specs=(whole, sharded, sharded), out_specs=(whole, sharded)
        )
        centers, assignments = jax.jit(mapped)(key, points, where)
    np.testing.assert_allclose(centers, expected[0], rtol=1e-6)
    np.testing.assert_array_equal(assignments.ravel(), expected[1])


def test_old_style_keys_are_taken(points):
    centers, _ = kmeans(jax.random.PRNGKey(0), jnp.asarray(points), **OPTIONS)
    expected, _ = kmeans(jax.random.key(0), jnp.asarray(points), **OPTIONS)
    np.testing.assert_array_equal(centers, expected)


def test_wrong_arguments_are_refused(key):
    points = jnp.zeros([5, 2])
    for wrong in (points[0], points.astype(int)):
        with pytest.raises(AssertionError):
            kmeans(key, wrong, **OPTIONS)
    with pytest.raises(AssertionError):
        kmeans(key, points, where=jnp.ones([4], bool), **OPTIONS)
    for num_clusters in (0, 6):
        with pytest.raises(ValueError, match="num_clusters must be between 1 and"):
            kmeans(key, points, num_clusters=num_clusters, num_iterations=1)
    with pytest.raises(ValueError, match="num_iterations"):
        kmeans(key, points, num_clusters=2, num_iterations=-1)
