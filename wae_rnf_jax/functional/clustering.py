"""k-means: Lloyd's algorithm from k-means++ seeds (Arthur & Vassilvitskii 2007).

Shapes: N points, Z latent dimensions, C clusters. Over a mapped axis of D devices N is one device's
number of points; codes are small, so all D·N are gathered first and every device does the same.
"""

from collections.abc import Hashable

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import match_varying, squared_distances, widened

_HIGHEST = jax.lax.Precision.HIGHEST


def kmeans(
    key: jax.Array,
    points: jax.Array,
    *,
    num_clusters: int,
    num_iterations: int,
    where: jax.Array | None = None,
    axis_name: Hashable | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Clusters points; an empty cluster keeps its center.

    Args:
      key: random key of the seeding; over an axis, the same on all devices.
      points: [N, Z] points.
      num_clusters: C, at most the number of points.
      num_iterations: Lloyd iterations after seeding; 0 returns the seeds.
      where: [N] bool, the valid points; all if None. Others are never chosen and never counted.
      axis_name: mapped axis over which points and where are parts of one global set.

    Returns:
      The centers [C, Z], equal on all devices, and the nearest center of each of the N points. All
      centers are NaN where a valid point is not finite, or none is valid.

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.
      ValueError: fewer than one cluster, more clusters than points, or negative iterations.

    >>> points = jnp.array([[0.0], [0.2], [9.0], [9.2]])
    >>> centers, assignments = kmeans(
    ...     jax.random.key(0), points, num_clusters=2, num_iterations=5)
    >>> sorted(round(float(center), 3) for center in centers[:, 0])
    [0.1, 9.1]
    """
    chex.assert_type(points, float)
    chex.assert_rank(points, 2)
    where = jnp.ones(points.shape[0], bool) if where is None else where
    chex.assert_shape(where, (points.shape[0],))
    chex.assert_type(where, bool)
    points = widened(points)
    all_points, all_where = jnp.where(where[:, None], points, 0.0), where
    if axis_name is not None:
        all_points, all_where = jax.lax.all_gather((all_points, where), axis_name, tiled=True)
    if not 1 <= num_clusters <= all_points.shape[0]:
        raise ValueError(
            f"num_clusters must be between 1 and the number of points, {all_points.shape[0]},"
            f" got {num_clusters}"
        )
    if num_iterations < 0:
        raise ValueError(f"num_iterations must not be negative, got {num_iterations}")

    seeds = _seeds(key, all_points, all_where, num_clusters)
    centers = _lloyd(seeds, all_points, all_where, num_iterations)
    # Such a point may be neither a seed nor near to one, and is not to be passed over.
    known = jnp.all(jnp.isfinite(all_points)) & jnp.any(all_where)
    centers = jnp.where(known, centers, jnp.nan)
    if axis_name is not None:
        # Equal already; the mean says so to shard_map, which sees gathered values as varying.
        centers = jax.lax.pmean(centers, axis_name)
    return centers, jnp.argmin(squared_distances(points, centers), axis=-1)


def _seeds(key: jax.Array, points: jax.Array, where: jax.Array, num_clusters: int) -> jax.Array:
    """k-means++: each seed is a point drawn in proportion to its squared distance to the others."""

    def choose(distances: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Where no distance is positive any valid point will do: there are fewer distinct ones.
        left = where & (distances > 0)
        positive = jnp.where(left, distances, 1.0)
        logits = jnp.where(jnp.where(jnp.any(left), left, where), jnp.log(positive), -jnp.inf)
        center = points[jax.random.categorical(key, logits)]
        return jnp.minimum(distances, squared_distances(points, center[None])[:, 0]), center

    # Equal distances make the first draw uniform; no squared distance exceeds this start.
    start = jnp.full_like(points[:, 0], jnp.finfo(points.dtype).max)
    start = match_varying(start, points, where, jax.random.key_data(key))
    return jax.lax.scan(choose, start, jax.random.split(key, num_clusters))[1]


def _lloyd(
    centers: jax.Array, points: jax.Array, where: jax.Array, num_iterations: int
) -> jax.Array:
    def iteration(_: int, centers: jax.Array) -> jax.Array:
        nearest = jnp.argmin(squared_distances(points, centers), axis=-1)
        members = jax.nn.one_hot(nearest, centers.shape[0], axis=0, dtype=points.dtype)
        members = members * where[None, :]
        counts = jnp.sum(members, axis=1)[:, None]
        sums = jnp.matmul(members, points, precision=_HIGHEST)
        return jnp.where(counts > 0, sums / jnp.maximum(counts, 1.0), centers)

    return jax.lax.fori_loop(0, num_iterations, iteration, match_varying(centers, points, where))
