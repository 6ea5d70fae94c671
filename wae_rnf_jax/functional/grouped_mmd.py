"""Maximum mean discrepancy within groups of rows, for batches over many devices.

Shapes: N rows of this device, D devices, G rows of a group, Z latent dimensions.

Compared with all rows of a global batch, a device's work grows with the number of devices; within
groups of G rows it does not. The mean over groups of an unbiased statistic is unbiased, and its
variance is larger. Groups are of neighboring rows of the global batch, whatever the devices, so
that no layout changes the value.
"""

from collections.abc import Hashable

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.mmd import Kernel, gathered_rows, mmd_squared_unbiased


def mmd_squared_in_groups(
    x: jax.Array,
    y: jax.Array,
    *,
    kernel: Kernel,
    group_size: int,
    where: jax.Array | None = None,
    axis_name: Hashable | None = None,
) -> jax.Array:
    """The mean of `mmd_squared_unbiased` over groups of neighboring rows.

    Args:
      x: [N, Z] sample.
      y: [N, Z] sample to compare with, all of it valid.
      kernel: as for `mmd_squared_unbiased`.
      group_size: G, at least 2. It divides the rows of all devices; and it divides N, or N divides
        it.
      where: [N] bool, the valid rows of x; all if None. A group with fewer than two drops out.
      axis_name: mapped axis over which x, y and where are parts of one global sample; of pmap or
        shard_map where a group is spread over devices.

    Returns:
      [] estimate, equal on all devices; NaN where no group has two valid rows of x.

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.
      ValueError: the group's size does not fit the rows.

    >>> from functools import partial
    >>> from wae_rnf_jax import mmd_squared_unbiased, rbf_kernel
    >>> x, kernel = jnp.arange(8.0)[:, None], partial(rbf_kernel, bandwidth=1.0)
    >>> halves = [mmd_squared_unbiased(h, h + 1, kernel=kernel) for h in (x[:4], x[4:])]
    >>> whole = mmd_squared_in_groups(x, x + 1, kernel=kernel, group_size=4)
    >>> bool(jnp.allclose(whole, sum(halves) / 2))
    True
    """
    chex.assert_equal_shape([x, y])
    chex.assert_rank(x, 2)
    rows = x.shape[0]
    where = jnp.ones(rows, bool) if where is None else where
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    if group_size < 2 or rows * devices % group_size or (rows % group_size and group_size % rows):
        raise ValueError(
            f"mmd_squared_in_groups: group_size is {group_size}; it must be at least 2, divide the "
            f"{rows * devices} rows of all devices, and divide a device's {rows} or be a multiple"
        )
    if group_size > rows:
        members = group_size // rows
        groups = [list(range(first, first + members)) for first in range(0, devices, members)]
        x, y, where = gathered_rows((x, y, where), axis_name, groups=groups)

    def of_group(x: jax.Array, y: jax.Array, where: jax.Array) -> jax.Array:
        return mmd_squared_unbiased(x, y, kernel=kernel, where=where)

    parts = (array.reshape(-1, group_size, *array.shape[1:]) for array in (x, y, where))
    values = jax.vmap(of_group)(*parts)
    counted = where.reshape(-1, group_size).sum(-1) >= 2
    sums = jnp.where(counted, values, 0).sum(), counted.sum()
    total, count = sums if axis_name is None else jax.lax.psum(sums, axis_name)
    return jnp.where(count == 0, jnp.nan, total / jnp.maximum(count, 1))
