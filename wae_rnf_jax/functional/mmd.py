"""Maximum mean discrepancy between two samples (Gretton et al. 2012, JMLR 13).

Shapes: N rows of x, M rows of y, Z latent dimensions; over a mapped axis of D devices these are one
device's rows, D·N and D·M the sample's. The statistic is not a mean of per-device statistics: every
device compares its own rows with all rows, and the sums are added, so that the value is that of the
global batch, and one row per device is enough.
"""

from collections.abc import Callable, Hashable

import chex
import jax
import jax.numpy as jnp

Kernel = Callable[[jax.Array, jax.Array], jax.Array]


def mmd_squared_unbiased(
    x: jax.Array,
    y: jax.Array,
    *,
    kernel: Kernel,
    where: jax.Array | None = None,
    axis_name: Hashable | None = None,
) -> jax.Array:
    """Unbiased estimate of MMD² (U-statistic); its mean is 0 where both samples are alike.

    mean of k(xᵢ, xⱼ), i ≠ j, + mean of k(yᵢ, yⱼ), i ≠ j, - 2·mean of k(xᵢ, yⱼ).

    Args:
      x: [N, Z] sample.
      y: [M, Z] sample to compare with, all of it valid.
      kernel: (x [n, Z], y [m, Z]) -> [n, m], symmetric.
      where: [N] bool, the valid rows of x; all if None. With fewer than two valid rows, which
        cannot be told while tracing, the first mean is 0 and the result finite.
      axis_name: mapped axis over which x, y and where are parts of one global sample.

    Returns:
      [] estimate, equal on all devices; it may be negative.

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: x or y has fewer than 2 rows, counted over the axis.

    >>> from functools import partial
    >>> from wae_rnf_jax import rbf_kernel
    >>> x = jnp.array([[0.0], [2.0]])
    >>> print(f"{mmd_squared_unbiased(x, x, kernel=partial(rbf_kernel, bandwidth=1.0)):.4f}")
    -0.8647
    """
    return _mmd_squared(x, y, kernel, where, axis_name, minimum=2)


def mmd_squared_biased(
    x: jax.Array,
    y: jax.Array,
    *,
    kernel: Kernel,
    where: jax.Array | None = None,
    axis_name: Hashable | None = None,
) -> jax.Array:
    """Biased estimate of MMD² (V-statistic): diagonals included, never negative.

    Args:
      x: [N, Z] sample.
      y: [M, Z] sample to compare with, all of it valid.
      kernel: (x [n, Z], y [m, Z]) -> [n, m], symmetric.
      where: [N] bool, the valid rows of x; all if None.
      axis_name: mapped axis over which x, y and where are parts of one global sample.

    Returns:
      [] estimate, equal on all devices.

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: x or y has no row.

    >>> from functools import partial
    >>> from wae_rnf_jax import rbf_kernel
    >>> x = jnp.array([[0.0], [2.0]])
    >>> float(mmd_squared_biased(x, x, kernel=partial(rbf_kernel, bandwidth=1.0)))
    0.0
    """
    return _mmd_squared(x, y, kernel, where, axis_name, minimum=1)


def _mmd_squared(
    x: jax.Array,
    y: jax.Array,
    kernel: Kernel,
    where: jax.Array | None,
    axis_name: Hashable | None,
    *,
    minimum: int,
) -> jax.Array:
    """The statistic without diagonals (``minimum`` 2) or with them (``minimum`` 1)."""
    chex.assert_type([x, y], float)
    chex.assert_rank([x, y], 2)
    chex.assert_equal_shape_suffix([x, y], 1)
    where = jnp.ones(x.shape[0], bool) if where is None else where
    chex.assert_shape(where, (x.shape[0],))
    chex.assert_type(where, bool)
    num_devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    for name, rows in (("x", x.shape[0] * num_devices), ("y", y.shape[0] * num_devices)):
        if rows < minimum:
            raise ValueError(f"MMD² needs at least {minimum} rows of {name} in all, got {rows}")

    x = jnp.where(where[:, None], x, 0.0)  # a padded row may hold anything, NaN included
    weights_x = where.astype(x.dtype)
    weights_y = jnp.ones(y.shape[0], y.dtype)
    all_x, all_y, all_weights_x, all_weights_y = (
        _gather(array, axis_name) for array in (x, y, weights_x, weights_y)
    )
    without_diagonal = minimum == 2
    within_x = _pairs_mean(kernel(x, all_x), weights_x, all_weights_x, axis_name, without_diagonal)
    within_y = _pairs_mean(kernel(y, all_y), weights_y, all_weights_y, axis_name, without_diagonal)
    between = _pairs_mean(kernel(x, all_y), weights_x, all_weights_y, axis_name, False)
    return within_x + within_y - 2.0 * between


def _pairs_mean(
    values: jax.Array,
    row_weights: jax.Array,
    column_weights: jax.Array,
    axis_name: Hashable | None,
    without_diagonal: bool,
) -> jax.Array:
    """Weighted mean of all pairs, from this device's rows [n, N] of the global matrix [N, N]."""
    weights = row_weights[:, None] * column_weights[None, :]
    if without_diagonal:
        first_row = 0 if axis_name is None else jax.lax.axis_index(axis_name) * values.shape[0]
        rows = first_row + jnp.arange(values.shape[0])
        weights = weights * (rows[:, None] != jnp.arange(values.shape[1])[None, :])
    total, count = jnp.sum(values * weights), jnp.sum(weights)
    if axis_name is not None:
        total, count = jax.lax.psum((total, count), axis_name)
    return total / jnp.maximum(count, 1.0)


def _gather(rows: jax.Array, axis_name: Hashable | None) -> jax.Array:
    if axis_name is None:
        return rows
    return jax.lax.all_gather(rows, axis_name, tiled=True)
