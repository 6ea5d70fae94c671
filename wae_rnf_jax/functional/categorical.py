"""Draws from categorical distributions over many classes, such as a vocabulary.

Shapes: ``...`` any batch dimensions, V classes, M draws.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import assert_floating, widened
from wae_rnf_jax.functional._keys import threefry_keys

_BLOCK = 128  # classes that are summed before any is looked at


def categorical_draws(key: jax.Array, logits: jax.Array, *, num_draws: int) -> jax.Array:
    """Draws from categorical distributions by inverting their distribution functions.

    `jax.random.categorical` takes a random number a class and draw; this one a draw: the classes'
    probabilities are summed in blocks, a block is found, and then a class in it.

    Args:
      key: of all draws.
      logits: floating [..., V].
      num_draws: M, from each distribution.

    Returns:
      int32 [..., M].

    Raises:
      ValueError: num_draws is below 1.
      AssertionError: the logits are not floating, or there is no class.

    >>> categorical_draws(jax.random.key(0), jnp.array([-1e9, 0.0, -1e9]), num_draws=2).tolist()
    [1, 1]
    """
    assert_floating(logits=logits)
    chex.assert_axis_dimension_gteq(logits, -1, 1)
    if num_draws < 1:
        raise ValueError(f"categorical_draws: num_draws must be at least 1, got {num_draws}.")
    key, logits = threefry_keys(key), widened(logits)
    num_classes, batch = logits.shape[-1], logits.shape[:-1]
    weights = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    padding = -num_classes % _BLOCK
    weights = jnp.pad(weights, [(0, 0)] * len(batch) + [(0, padding)])
    blocks = weights.reshape(*batch, weights.shape[-1] // _BLOCK, _BLOCK)
    sums = blocks.sum(axis=-1)
    ends = jnp.cumsum(sums, axis=-1)
    # Up from 0: a draw of 0 must not take a first class whose probability is 0.
    uniform = 1.0 - jax.random.uniform(key, (*batch, num_draws), logits.dtype)
    goal = uniform * ends[..., -1:]
    block = _first_to_reach(ends, sums, goal)
    before = jnp.take_along_axis(jnp.concatenate([0 * ends[..., :1], ends], -1), block, axis=-1)
    of_block = jnp.take_along_axis(blocks, block[..., None], axis=-2)
    inner = jnp.cumsum(of_block, axis=-1)
    # Rounding may leave a goal above the sum of its block.
    goal = jnp.minimum(goal - before, inner[..., -1])
    found = _first_to_reach(inner, of_block, goal[..., None])[..., 0]
    return block * _BLOCK + found


def _first_to_reach(ends: jax.Array, weights: jax.Array, goal: jax.Array) -> jax.Array:
    """The first weight [..., N] at which their sum reaches each goal [..., M]: int32 [..., M].

    Of those above 0: long sums are added up as a tree, and can change where nothing is added. The
    last of those where rounding has left all sums below the goal.
    """
    counts = weights[..., None, :] > 0
    reached = counts & (ends[..., None, :] >= goal[..., None])
    last = ends.shape[-1] - 1 - jnp.argmax(counts[..., ::-1], axis=-1)
    first = jnp.argmax(reached, axis=-1)
    return jnp.where(reached.any(-1), first, last).astype(jnp.int32)
