"""Dropout of words, features, embeddings and weights.

Shape letters: B examples, T time steps.

Of what belongs to an example, the masks depend on its own key alone (see `sequences`). Weights have
one key a step: all examples of a batch share their mask.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import assert_floating, assert_integer
from wae_rnf_jax.functional._keys import assert_keys, threefry_keys
from wae_rnf_jax.functional.special_ids import BOS_ID, PAD_ID, UNK_ID


def word_dropout(keys: jax.Array, inputs: jax.Array, *, rate: float) -> jax.Array:
    """Replaces decoder inputs by `<unk>` at random; `<bos>` and padding are never touched.

    Bowman et al. 2015, "Generating Sentences from a Continuous Space", section 3.1.

    Args:
      keys: typed keys [B], one per example.
      inputs: integer [B, T], as made by `bos_inputs`.
      rate: probability that a word is replaced, in [0, 1].

    Returns:
      integer [B, T].

    Raises:
      ValueError: `rate` is outside [0, 1].
      AssertionError: wrong dtypes or shapes.

    >>> keys = jax.random.split(jax.random.key(0), 1)
    >>> word_dropout(keys, jnp.array([[2, 7, 8, 0]]), rate=1.0).tolist()
    [[2, 1, 1, 0]]
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"word_dropout: rate must lie in [0, 1], got {rate}.")
    assert_integer(inputs=inputs)
    chex.assert_rank(inputs, 2)
    assert_keys(keys, inputs.shape[:1])
    if rate == 0.0:
        return inputs
    shape = inputs.shape[1:]
    drop = jax.vmap(lambda key: jax.random.bernoulli(key, rate, shape))(threefry_keys(keys))
    words = (inputs != BOS_ID) & (inputs != PAD_ID)
    return jnp.where(drop & words, jnp.full_like(inputs, UNK_ID), inputs)


def example_dropout(
    keys: jax.Array, x: jax.Array, *, rate: float, locked: bool = False
) -> jax.Array:
    """Inverted dropout with one key per example: kept entries are divided by 1 − rate.

    Args:
      keys: typed keys [B], one per example.
      x: floating [B, ...].
      rate: probability that an entry is zeroed, in [0, 1); 0 returns `x` itself.
      locked: drop the same entries at all steps of a sentence, x [B, T, ...] (Gal & Ghahramani
        2016, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks").

    Returns:
      [B, ...], of `x`'s dtype.

    Raises:
      ValueError: `rate` is outside [0, 1).
      AssertionError: wrong dtypes or shapes.

    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> sorted(set(example_dropout(keys, jnp.ones((2, 50)), rate=0.5).ravel().tolist()))
    [0.0, 2.0]
    """
    _check_rate("example_dropout", rate)
    assert_floating(x=x)
    assert_keys(keys, x.shape[:1])
    if rate == 0.0:
        return x
    shape = (1, *x.shape[2:]) if locked else x.shape[1:]
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, shape))(threefry_keys(keys))
    return jnp.where(jnp.broadcast_to(keep, x.shape), x / (1.0 - rate), jnp.zeros_like(x))


def embedding_dropout(
    keys: jax.Array, embedded: jax.Array, inputs: jax.Array, *, rate: float
) -> jax.Array:
    """Drops words of a sentence from its embedding, each at all of its places or at none.

    Gal & Ghahramani 2016, "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks", section 4.2: what a sentence keeps is divided by 1 − rate.

    Args:
      keys: typed keys [B], one per example.
      embedded: floating [B, T, E].
      inputs: integer [B, T], the words that were embedded.
      rate: probability that a word is dropped, in [0, 1); 0 returns `embedded` itself.

    Returns:
      [B, T, E], of `embedded`'s dtype.

    Raises:
      ValueError: `rate` is outside [0, 1).
      AssertionError: wrong dtypes or shapes.

    >>> keys = jax.random.split(jax.random.key(0), 1)
    >>> dropped = embedding_dropout(keys, jnp.ones((1, 4, 1)), jnp.array([[7, 8, 9, 7]]), rate=0.5)
    >>> bool(dropped[0, 0, 0] == dropped[0, 3, 0])
    True
    """
    _check_rate("embedding_dropout", rate)
    assert_floating(embedded=embedded)
    assert_integer(inputs=inputs)
    chex.assert_shape(inputs, embedded.shape[:-1])
    chex.assert_rank(embedded, 3)
    assert_keys(keys, inputs.shape[:1])
    if rate == 0.0:
        return embedded

    def kept(key: jax.Array, word: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, word), 1.0 - rate)

    keep = jax.vmap(jax.vmap(kept, (None, 0)))(threefry_keys(keys), inputs)
    return jnp.where(keep[..., None], embedded / (1.0 - rate), jnp.zeros_like(embedded))


def weight_dropout(key: jax.Array, weights: jax.Array, *, rate: float) -> jax.Array:
    """Drops entries of weights, and divides the others by 1 − rate.

    DropConnect (Wan et al. 2013); of the recurrent weights of an LSTM it is the weight drop of
    Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models".

    Args:
      key: of the step; typed, or a raw one.
      weights: floating, of any shape.
      rate: probability that an entry is zeroed, in [0, 1); 0 returns `weights` itself.

    Returns:
      Of `weights`' shape and dtype.

    Raises:
      ValueError: `rate` is outside [0, 1).
      AssertionError: wrong dtypes.

    >>> weight_dropout(jax.random.key(0), jnp.ones((2, 3)), rate=0.5).shape
    (2, 3)
    """
    _check_rate("weight_dropout", rate)
    assert_floating(weights=weights)
    if rate == 0.0:
        return weights
    keep = jax.random.bernoulli(threefry_keys(key), 1.0 - rate, weights.shape)
    return jnp.where(keep, weights / (1.0 - rate), jnp.zeros_like(weights))


def _check_rate(name: str, rate: float) -> None:
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"{name}: rate must lie in [0, 1), got {rate}.")
