"""Sentences as padded arrays: shifts, masks, per-sentence sums and per-example noise.

Shape letters: B examples, L words of the longest sentence, T = L + 1 time steps.

A sentence w1 … wn is stored without boundary marks and padded on the right. The encoder and the
decoder read `<bos> w1 … wn`; the decoder predicts `w1 … wn <eos>`: n + 1 tokens either way.

Noise is keyed per example, never per batch: an example's draws then depend on its
own key alone, whatever the batch size, its place in the batch or the number of devices. So it is
drawn by threefry, also where the key is another generator's: JAX's others draw for a batch at once.
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import assert_integer, widened, widened_integers
from wae_rnf_jax.functional._keys import assert_keys, threefry_keys
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID


def sequence_mask(lengths: jax.Array, max_length: int) -> jax.Array:
    """True at the first `lengths` positions.

    Args:
      lengths: integer [...], number of valid positions.
      max_length: T, size of the new last axis.

    Returns:
      bool [..., T].

    Raises:
      AssertionError: `lengths` is not integer.

    >>> sequence_mask(jnp.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    assert_integer(lengths=lengths)
    lengths = widened_integers(lengths)
    positions = jax.lax.broadcasted_iota(lengths.dtype, (*lengths.shape, max_length), lengths.ndim)
    return positions < lengths[..., None]


def bos_inputs(tokens: jax.Array) -> jax.Array:
    """The sequence that encoder and decoder read: `<bos> w1 … wn`, then padding.

    Args:
      tokens: integer [..., L], word ids right-padded with `PAD_ID`.

    Returns:
      integer [..., L + 1]; n + 1 positions are valid.

    Raises:
      AssertionError: `tokens` is not an integer array of rank 1 or more.

    >>> bos_inputs(jnp.array([[7, 8, 0]])).tolist()
    [[2, 7, 8, 0]]
    """
    _check_tokens(tokens)
    first = jnp.full_like(tokens, BOS_ID, shape=(*tokens.shape[:-1], 1))
    return jnp.concatenate([first, tokens], axis=-1)


def eos_targets(tokens: jax.Array, lengths: jax.Array) -> jax.Array:
    """The sequence that the decoder predicts: `w1 … wn <eos>`, then padding.

    Args:
      tokens: integer [..., L], word ids right-padded with `PAD_ID`.
      lengths: integer [...], number of words n of each sentence.

    Returns:
      integer [..., L + 1]; n + 1 positions are valid.

    Raises:
      AssertionError: wrong dtypes, or `lengths` does not match `tokens`.

    >>> eos_targets(jnp.array([[7, 8, 0]]), jnp.array([2])).tolist()
    [[7, 8, 3, 0]]
    """
    _check_tokens(tokens)
    assert_integer(lengths=lengths)
    chex.assert_shape(lengths, tokens.shape[:-1])
    last = jnp.full_like(tokens, PAD_ID, shape=(*tokens.shape[:-1], 1))
    padded = jnp.concatenate([tokens, last], axis=-1)
    words = sequence_mask(lengths, padded.shape[-1])
    words_and_end = sequence_mask(widened_integers(lengths) + 1, padded.shape[-1])
    return jnp.where(words, padded, jnp.where(words_and_end, EOS_ID, PAD_ID).astype(padded.dtype))


def sum_over_tokens(values: jax.Array, lengths: jax.Array) -> jax.Array:
    """Sum of each sentence's valid positions; what padding holds, NaN included, has no effect.

    Args:
      values: [..., T], one value a token.
      lengths: integer, number of valid positions; its shape is `values`' without the last axis,
        or ends like it (values [S, B, T] go with lengths [B]).

    Returns:
      [...], `values`' shape without the last axis.

    Raises:
      AssertionError: `lengths` is not integer or does not match `values`.

    >>> sum_over_tokens(jnp.array([[1.0, 2.0, 4.0]]), jnp.array([2])).tolist()
    [3.0]
    """
    assert_integer(lengths=lengths)
    if lengths.ndim >= values.ndim:
        raise AssertionError(f"lengths of {lengths.shape} do not match values of {values.shape}.")
    sentences = values.shape[:-1]
    chex.assert_shape(lengths, sentences[len(sentences) - lengths.ndim :])
    mask = jnp.broadcast_to(sequence_mask(lengths, values.shape[-1]), values.shape)
    values = widened(values)
    return jnp.where(mask, values, jnp.zeros_like(values)).sum(axis=-1)


def example_keys(key: jax.Array, index: jax.Array) -> jax.Array:
    """One random key per example, from the key of the step and the example's global number.

    Args:
      key: a typed key (`jax.random.key`), of any generator.
      index: integer [B], a number that belongs to the example and not to its place on a device;
        not negative.

    Returns:
      typed keys [B], of threefry.

    Raises:
      AssertionError: `key` is not a typed key or `index` is not integer [B].

    >>> example_keys(jax.random.key(0), jnp.arange(3)).shape
    (3,)
    """
    assert_keys(key, ())
    assert_integer(index=index)
    chex.assert_rank(index, 1)
    key = threefry_keys(key)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)
    if index.dtype.itemsize <= 4:
        return keys
    above = index >> 32  # fold_in reads 32 bits, so that examples 0 and 2³² would share a key
    return jnp.where(above > 0, jax.vmap(jax.random.fold_in)(keys, above), keys)


def example_normal(keys: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Standard normal draws with one key per example.

    Args:
      keys: typed keys [B], one per example.
      shape: shape of one example's draws.

    Returns:
      float32 [B, *shape].

    Raises:
      AssertionError: `keys` are not typed keys [B].

    >>> example_normal(example_keys(jax.random.key(0), jnp.arange(2)), (3,)).shape
    (2, 3)
    """
    assert_keys(keys, keys.shape[:1])
    draw = jax.vmap(lambda key: jax.random.normal(key, tuple(shape), jnp.float32))
    return draw(threefry_keys(keys))


def _check_tokens(tokens: jax.Array) -> None:
    assert_integer(tokens=tokens)
    if tokens.ndim == 0:
        raise AssertionError("tokens must have a time axis, got a scalar.")
