"""Maximum mean discrepancy between two samples (Gretton et al. 2012, JMLR 13).

Shapes: N rows of x, M rows of y, Z latent dimensions; over a mapped axis of D devices these are one
device's rows, D·N and D·M the sample's. The statistic is not a mean of per-device statistics: every
device compares its own rows with all rows, and the sums are added, so that the value is that of the
global batch, and one row per device is enough. A device compares its rows with so many rows at a
time, forward and backward, that it holds N × block_size values of the kernel, not N × D·N.
"""

from collections.abc import Callable, Hashable
from functools import partial

import chex
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from wae_rnf_jax.functional._arrays import Tree, widened

Kernel = Callable[[jax.Array, jax.Array], jax.Array]
Rows = tuple[jax.Array, jax.Array]  # points [N, Z] and their weights [N], 0 or 1

_MOST_PAIRS = 2**20  # of a block, where the caller says nothing


def mmd_squared_unbiased(
    x: jax.Array,
    y: jax.Array,
    *,
    kernel: Kernel,
    where: jax.Array | None = None,
    axis_name: Hashable | None = None,
    block_size: int | None = None,
) -> jax.Array:
    """Unbiased estimate of MMD² (U-statistic); its expectation is 0 for equal distributions.

    mean of k(xᵢ, xⱼ), i ≠ j, + mean of k(yᵢ, yⱼ), i ≠ j, - 2·mean of k(xᵢ, yⱼ).

    Args:
      x: [N, Z] sample.
      y: [M, Z] sample to compare with, all of it valid.
      kernel: (x [n, Z], y [m, Z]) -> [n, m], symmetric, as `multi_scale_imq_kernel` is; its
        gradient finite at equal points.
      where: [N] bool, the valid rows of x; all if None.
      axis_name: mapped axis over which x, y and where are parts of one global sample.
      block_size: most rows that a device compares its own with at a time; if None, as many as make
        a million pairs (2²⁰) with its own.

    Returns:
      [] estimate, equal on all devices; it may be negative. NaN with fewer than two valid rows of
      x, which cannot be told while tracing; gradients are then 0.

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: x or y has fewer than 2 rows, counted over the axis, or block_size is below 1.

    >>> from functools import partial
    >>> from wae_rnf_jax import rbf_kernel
    >>> x = jnp.array([[0.0], [2.0]])
    >>> print(f"{mmd_squared_unbiased(x, x, kernel=partial(rbf_kernel, bandwidth=1.0)):.4f}")
    -0.8647
    """
    return _mmd_squared(x, y, kernel, where, axis_name, block_size, minimum=2)


def mmd_squared_biased(
    x: jax.Array,
    y: jax.Array,
    *,
    kernel: Kernel,
    where: jax.Array | None = None,
    axis_name: Hashable | None = None,
    block_size: int | None = None,
) -> jax.Array:
    """Biased estimate of MMD² (V-statistic): diagonals included, never negative.

    Args:
      x: [N, Z] sample.
      y: [M, Z] sample to compare with, all of it valid.
      kernel: (x [n, Z], y [m, Z]) -> [n, m], symmetric, as `multi_scale_imq_kernel` is; its
        gradient finite at equal points.
      where: [N] bool, the valid rows of x; all if None.
      axis_name: mapped axis over which x, y and where are parts of one global sample.
      block_size: most rows that a device compares its own with at a time; if None, as many as make
        a million pairs (2²⁰) with its own.

    Returns:
      [] estimate, equal on all devices; NaN where no row of x is valid.

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: x or y has no row, or block_size is below 1.

    >>> from functools import partial
    >>> from wae_rnf_jax import rbf_kernel
    >>> x = jnp.array([[0.0], [2.0]])
    >>> float(mmd_squared_biased(x, x, kernel=partial(rbf_kernel, bandwidth=1.0)))
    0.0
    """
    return _mmd_squared(x, y, kernel, where, axis_name, block_size, minimum=1)


def _mmd_squared(
    x: jax.Array,
    y: jax.Array,
    kernel: Kernel,
    where: jax.Array | None,
    axis_name: Hashable | None,
    block_size: int | None,
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
    block_size = max(1, _MOST_PAIRS // max(1, x.shape[0])) if block_size is None else block_size
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    num_devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    for name, rows in (("x", x.shape[0] * num_devices), ("y", y.shape[0] * num_devices)):
        if rows < minimum:
            raise ValueError(f"MMD² needs at least {minimum} rows of {name} in all, got {rows}")

    x, y = widened((x, y))
    # A padded row may hold anything, NaN included; of a row of y the kernel surely has a value.
    x = jnp.where(where[:, None], x, y[:1])
    rows_x, rows_y = (x, where.astype(x.dtype)), (y, jnp.ones(y.shape[0], y.dtype))
    all_x, all_y = gathered_rows((rows_x, rows_y), axis_name)
    device = 0 if axis_name is None else jax.lax.axis_index(axis_name)
    without_diagonal = minimum == 2  # a point and itself are no pair
    total = partial(_pairs_total, kernel, block_size=block_size)
    within_x = total(rows_x, all_x, first_row=device * x.shape[0] if without_diagonal else None)
    within_y = total(rows_y, all_y, first_row=device * y.shape[0] if without_diagonal else None)
    between = total(rows_x, all_y)
    num_x, num_y = all_x[1].sum(), all_y[1].sum()
    share = (
        within_x / jnp.maximum(num_x * (num_x - without_diagonal), 1.0)
        + within_y / jnp.maximum(num_y * (num_y - without_diagonal), 1.0)
        - 2.0 * between / jnp.maximum(num_x * num_y, 1.0)
    )
    share = jnp.where(num_x < minimum, jnp.nan, share)
    return share if axis_name is None else jax.lax.psum(share, axis_name)


def gathered_rows(
    samples: Tree, axis_name: Hashable | None, *, groups: list[list[int]] | None = None
) -> Tree:
    """All devices' rows of some arrays, or those of a group of devices, in one gather."""
    if axis_name is None:
        return samples
    flat, parts = ravel_pytree(samples)
    stacked = jax.vmap(parts)(jax.lax.all_gather(flat, axis_name, axis_index_groups=groups))
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), stacked)


def _pairs_total(
    kernel: Kernel,
    rows: Rows,
    columns: Rows,
    *,
    block_size: int,
    first_row: int | jax.Array | None = None,
) -> jax.Array:
    """Sum over the pairs of this device's rows with all columns.

    Within one sample, `first_row` is the place of the first row among the columns: a point and
    itself are then no pair.
    """
    points, weights = rows
    num_columns = columns[0].shape[0]

    def block_total(
        points_there: jax.Array, weights_there: jax.Array, places: jax.Array
    ) -> jax.Array:
        pair_weights = weights[:, None] * weights_there[None, :]
        if first_row is not None:
            own_places = first_row + jnp.arange(points.shape[0])
            pair_weights = pair_weights * (own_places[:, None] != places[None, :])
        return jnp.sum(kernel(points, points_there) * pair_weights)

    placed = (*columns, jnp.arange(num_columns))
    if num_columns <= block_size:
        return block_total(*placed)
    # The kernel's values are formed again in the backward pass: kept, they would be all of them.
    again = jax.checkpoint(lambda block: block_total(*block))
    return jax.lax.map(again, _in_blocks(*placed, block_size=block_size)).sum()


def _in_blocks(
    points: jax.Array, weights: jax.Array, places: jax.Array, *, block_size: int
) -> tuple[jax.Array, ...]:
    """Blocks [blocks, rows, ...] of at most block_size rows, as equal as can be, of each array.

    Padding has no weight, but the kernel must have a value there: it is the last point again.
    """
    num_blocks = -(-points.shape[0] // block_size)
    size = -(-points.shape[0] // num_blocks)  # equal blocks leave fewer rows of padding
    padding = num_blocks * size - points.shape[0]

    def split(array: jax.Array, filling: jax.Array) -> jax.Array:
        if padding:
            array = jnp.concatenate([array, jnp.repeat(filling, padding, axis=0)])
        return array.reshape(num_blocks, size, *array.shape[1:])

    return (
        split(points, points[-1:]),
        split(weights, jnp.zeros_like(weights[-1:])),
        split(places, places[-1:]),
    )
