"""Array helpers shared by the functions of this package."""

import math
from typing import TypeVar

import chex
import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")

# Of the coordinates of points, for all pairs of which a distance is asked.
_MOST_DIFFERENCES = 2**22


def match_varying(value: jax.Array, *references: jax.Array) -> jax.Array:
    """Returns ``value`` unchanged, varying over every mesh axis that a reference varies over.

    Inside ``jax.shard_map`` a scan's carry must enter with the type it leaves with, so a constant
    start has to be declared varying where the loop's operands vary. ``zeros_like`` is a public
    operation that keeps this part of a type, whatever the version of jax calls it.

    Args:
      value: array of any shape, the start of a loop's carry.
      *references: arrays that the loop's body reads.

    Returns:
      An array equal to ``value``.
    """
    for reference in references:
        zero = jnp.sum(jnp.zeros_like(reference))
        value = jnp.where(zero == 0, value, value)
    return value


def widened(tree: Tree) -> Tree:
    """The tree with every floating array of less than 32 bits in float32, to compute with.

    float16 ends at 65,504, and from 256 on bfloat16 counts in twos: neither holds a sum over a
    batch, a count of its rows or the terms of a special function.
    """

    def wide(leaf: jax.Array) -> jax.Array:
        dtype = getattr(leaf, "dtype", jnp.float32)
        is_narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
        return leaf.astype(jnp.float32) if is_narrow else leaf

    return jax.tree.map(wide, tree)


def narrowed(points: jax.Array, *arguments: Tree) -> jax.Array:
    """The points in the dtype that the arguments they come from promote to, however narrow."""
    return points.astype(jnp.result_type(*jax.tree.leaves(arguments)))


def guarded_norm(x: jax.Array) -> jax.Array:
    """‖x‖ over the last axis, with derivative 0 instead of NaN at x = 0."""
    squared = jnp.sum(jnp.square(x), axis=-1)
    is_zero = squared == 0
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squared)))


def widened_integers(x: jax.Array) -> jax.Array:
    """Integers in a dtype of at least 32 bits, in which positions can be counted and compared.

    Narrower ones are good for storage: of int8, 127 + 1 is -128, and so is position 128.
    """
    return x if x.dtype.itemsize >= 4 else x.astype(jnp.int32)


def along_last(vector: jax.Array, like: jax.Array) -> jax.Array:
    """Reshapes a vector [Z] to broadcast along the last axis of ``like`` [..., Z]."""
    return jnp.reshape(vector, (1,) * (like.ndim - 1) + vector.shape)


def squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """Squared Euclidean distances of every point of ``x`` to every row of ``y``.

    Differences are formed directly. The expansion ‖x‖² + ‖y‖² - 2xᵀy would be one matrix product,
    but it cancels: equal points would not be at distance 0. The [..., M, Z] differences are held at
    most four million at a time, 16 MB in single precision: above that the points of ``x`` are gone
    through in blocks, and their differences formed again in a backward pass.

    Args:
      x: [..., Z] points.
      y: [M, Z] points.

    Returns:
      [..., M] squared distances, exactly 0 for equal points.
    """
    num_points = math.prod(x.shape[:-1])
    block_size = max(1, _MOST_DIFFERENCES // max(1, y.size))
    if num_points <= block_size:
        return _squared_distances(x, y)
    distances = jax.checkpoint(lambda point: _squared_distances(point, y))
    flat = jax.lax.map(distances, x.reshape(num_points, x.shape[-1]), batch_size=block_size)
    return flat.reshape(*x.shape[:-1], y.shape[0])


def _squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    y = jnp.reshape(y, (1,) * (x.ndim - 1) + y.shape)
    return jnp.sum(jnp.square(x[..., None, :] - y), axis=-1)


def log_ratio(numerator: jax.Array, denominator: jax.Array, difference: jax.Array) -> jax.Array:
    """log(numerator / denominator) for positive arrays whose difference is known by itself.

    Near a ratio of 1 the digits are in the difference, near 0 in the numerator; each is read where
    it is accurate. Both branches are kept finite, for the gradient of the one not taken.

    Args:
      numerator: positive array.
      denominator: positive array, of the same shape.
      difference: numerator - denominator, of the same shape.

    Returns:
      The logarithm, exactly 0 where ``difference`` is 0.
    """
    excess = difference / denominator
    near = excess > -0.5
    ratio = jnp.where(near, 1.0, numerator / denominator)
    return jnp.where(near, jnp.log1p(jnp.where(near, excess, 0.0)), jnp.log(ratio))


def assert_floating(**arrays: jax.Array) -> None:
    """Raises AssertionError, naming it, for an array that is not floating."""
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise AssertionError(f"{name} must be floating, got {array.dtype}.")


def assert_integer(**arrays: jax.Array) -> None:
    """Raises AssertionError, naming it, for an array that is not integer."""
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise AssertionError(f"{name} must be integer, got {array.dtype}.")


def assert_mask(where: jax.Array, shape: tuple[int, ...]) -> None:
    """Raises AssertionError unless a mask is bool and of a shape."""
    if where.dtype != jnp.bool_:
        raise AssertionError(f"where must be bool, got {where.dtype}.")
    chex.assert_shape(where, shape)
