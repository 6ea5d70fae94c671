"""Riemannian metric of the latent space, read from where the codes lie.

Shapes: ``...`` any batch dimensions, N points, C centers, Z latent dimensions. The metric is
G(z) = I / β(z), with the RBF precision β of Arvanitidis et al. (2018, arXiv:1710.11379).
"""

from collections.abc import Hashable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import squared_distances, widened


class Codebook(NamedTuple):
    """Centers and bandwidth of the RBF metric, with the codes that training finds them in.

    Attributes:
      centers: [C, Z].
      bandwidth: [], h.
      floor: [], ζ.
      ready: [] bool, whether the centers are those of codes.
      codes: [M, Z], posterior means of recent training sentences; None where centers are fixed.
      spreads: [M], their summed posterior variances, Σσ²; 0 where no code has been written yet.

    >>> codebook = Codebook(centers=jnp.zeros((1, 2)), bandwidth=1.0, floor=0.5)
    >>> at = {"bandwidth": codebook.bandwidth, "floor": codebook.floor}
    >>> rbf_precision(jnp.zeros((1, 2)), codebook.centers, **at).tolist()
    [1.5]
    """

    centers: jax.Array
    bandwidth: jax.Array | float
    floor: jax.Array | float
    ready: jax.Array | bool = True
    codes: jax.Array | None = None
    spreads: jax.Array | None = None


def rbf_precision(
    z: jax.Array, centers: jax.Array, *, bandwidth: float | jax.Array, floor: float | jax.Array
) -> jax.Array:
    """RBF precision β(z) = floor + Σ_c exp(-‖z - c‖² / (2·bandwidth²)): large near the centers.

    Args:
      z: [..., Z] points.
      centers: [C, Z] centers.
      bandwidth: positive length h, in the units of the points.
      floor: positive precision far from all centers, ζ.

    Returns:
      [...] precisions in [floor, floor + C].

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: the bandwidth or the floor is a number that is not positive.

    >>> float(rbf_precision(jnp.zeros([2]), jnp.zeros([3, 2]), bandwidth=1.0, floor=0.5))
    3.5
    """
    chex.assert_type([z, centers], float)
    chex.assert_rank(centers, 2)
    chex.assert_axis_dimension(z, -1, centers.shape[-1])
    for name, value in (("bandwidth", bandwidth), ("floor", floor)):
        if isinstance(value, int | float) and not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    z, centers, bandwidth, floor = widened((z, centers, bandwidth, floor))
    scaled = squared_distances(z, centers) / (2.0 * jnp.square(bandwidth))
    return floor + jnp.sum(jnp.exp(-scaled), axis=-1)


def rbf_log_magnification(
    z: jax.Array, centers: jax.Array, *, bandwidth: float | jax.Array, floor: float | jax.Array
) -> jax.Array:
    """Log-magnification m(z) = ½·log|G(z)| = -(Z/2)·log β(z): small near the centers.

    Args:
      z: [..., Z] points.
      centers: [C, Z] centers.
      bandwidth: positive length h, in the units of the points.
      floor: positive precision far from all centers, ζ.

    Returns:
      [...] log-magnifications in nats.

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: the bandwidth or the floor is a number that is not positive.

    >>> z, centers = jnp.zeros([2]), jnp.zeros([1, 2])
    >>> print(f"{rbf_log_magnification(z, centers, bandwidth=1.0, floor=1.0):.4f}")
    -0.6931
    """
    precision = rbf_precision(z, centers, bandwidth=bandwidth, floor=floor)
    return -0.5 * z.shape[-1] * jnp.log(precision)


def rbf_bandwidth(
    points: jax.Array,
    centers: jax.Array,
    where: jax.Array | None = None,
    *,
    axis_name: Hashable | None = None,
) -> jax.Array:
    """Bandwidth h of the RBF precision: h² is half the mean squared distance to the own center.

    Args:
      points: [N, Z] points.
      centers: [C, Z] centers; a point's own is the nearest.
      where: [N] bool, the valid points; all if None.
      axis_name: mapped axis over which points and where are parts of one global set.

    Returns:
      [] bandwidth, a positive length; if all points lie at their centers, the least whose square
      does not underflow; NaN where no point is valid.

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> float(rbf_bandwidth(jnp.array([[-2.0, 2.0], [2.0, 2.0]]), jnp.zeros([1, 2])))
    2.0
    """
    chex.assert_type([points, centers], float)
    chex.assert_rank([points, centers], 2)
    chex.assert_equal_shape_suffix([points, centers], 1)
    where = jnp.ones(points.shape[0], bool) if where is None else where
    chex.assert_shape(where, (points.shape[0],))
    chex.assert_type(where, bool)
    points, centers = widened((points, centers))
    points = jnp.where(where[:, None], points, 0.0)  # a padded row may hold anything
    own = jnp.where(where, jnp.min(squared_distances(points, centers), axis=-1), 0.0)
    total, count = jnp.sum(own), jnp.sum(where)
    if axis_name is not None:
        total, count = jax.lax.psum((total, count), axis_name)
    half_mean = 0.5 * total / jnp.maximum(count, 1)
    bandwidth = jnp.sqrt(jnp.maximum(half_mean, jnp.finfo(points.dtype).tiny))
    return jnp.where(count > 0, bandwidth, jnp.nan)
