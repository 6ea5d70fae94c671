"""Positive-definite kernels between two sets of points.

Shapes: N and M points, Z latent dimensions. Distances are formed from differences, so that equal
points have exactly the kernel's maximum, and squared, so that their gradient there is 0.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import squared_distances, widened

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def rbf_kernel(x: jax.Array, y: jax.Array, *, bandwidth: float | jax.Array) -> jax.Array:
    """Gaussian kernel exp(-‖x - y‖² / (2·bandwidth²)).

    Args:
      x: [N, Z] points.
      y: [M, Z] points.
      bandwidth: positive length, in the units of the points.

    Returns:
      [N, M] kernel values in [0, 1].

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: the bandwidth is a number that is not positive.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> rbf_kernel(x, x, bandwidth=1.0).round(3).tolist()
    [[1.0, 0.6070000529289246], [0.6070000529289246, 1.0]]
    """
    _assert_points(x, y)
    _assert_positive("bandwidth", bandwidth)
    x, y, bandwidth = widened((x, y, bandwidth))
    return jnp.exp(-squared_distances(x, y) / (2.0 * jnp.square(bandwidth)))


def imq_kernel(x: jax.Array, y: jax.Array, *, constant: float | jax.Array) -> jax.Array:
    """Inverse multiquadric kernel C / (C + ‖x - y‖²) (Tolstikhin et al. 2018, arXiv:1711.01558).

    Args:
      x: [N, Z] points.
      y: [M, Z] points.
      constant: C, positive, in squared units of the points.

    Returns:
      [N, M] kernel values in [0, 1].

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: the constant is a number that is not positive.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> imq_kernel(x, x, constant=1.0).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    _assert_points(x, y)
    _assert_positive("constant", constant)
    x, y, constant = widened((x, y, constant))
    return constant / (constant + squared_distances(x, y))


def multi_scale_imq_kernel(
    x: jax.Array, y: jax.Array, *, mean_squared_distance: float | None = None
) -> jax.Array:
    """Sum of inverse multiquadric kernels with C = D·s, s in {.1, .2, .5, 1, 2, 5, 10}.

    D is the mean squared distance of two draws from the prior: 2·Z for N(0, I) in Z dimensions, 2
    for the uniform distribution on a unit sphere (Tolstikhin et al. 2018, arXiv:1711.01558).

    Args:
      x: [N, Z] points.
      y: [M, Z] points.
      mean_squared_distance: D, positive; 2·Z if None.

    Returns:
      [N, M] kernel values in [0, 7].

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: the mean squared distance is a number that is not positive.

    >>> multi_scale_imq_kernel(jnp.zeros([1, 4]), jnp.zeros([1, 4])).tolist()
    [[7.0]]
    """
    _assert_points(x, y)
    if mean_squared_distance is None:
        mean_squared_distance = 2.0 * x.shape[-1]
    else:
        _assert_positive("mean_squared_distance", mean_squared_distance)
    squared = squared_distances(*widened((x, y)))
    constants = [mean_squared_distance * scale for scale in _SCALES]
    values = [constant / (constant + squared) for constant in constants]
    return sum(values[1:], values[0])


def _assert_points(x: jax.Array, y: jax.Array) -> None:
    chex.assert_type([x, y], float)
    chex.assert_rank([x, y], 2)
    chex.assert_equal_shape_suffix([x, y], 1)


def _assert_positive(name: str, value: float | jax.Array) -> None:
    if isinstance(value, int | float) and not value > 0:
        raise ValueError(f"{name} must be positive, got {value}")
