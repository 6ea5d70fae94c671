"""Dropout of words and of features, with one key an example.

Shape letters: B examples, T time steps.

An example's masks depend on its own key alone (see `sequences`).
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

    >>> keys = example_keys(jax.random.key(0), jnp.arange(1))
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

    >>> keys = example_keys(jax.random.key(0), jnp.arange(2))
    >>> sorted(set(example_dropout(keys, jnp.ones((2, 50)), rate=0.5).ravel().tolist()))
    [0.0, 2.0]
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"example_dropout: rate must lie in [0, 1), got {rate}.")
    assert_floating(x=x)
    assert_keys(keys, x.shape[:1])
    if rate == 0.0:
        return x
    shape = (1, *x.shape[2:]) if locked else x.shape[1:]
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, shape))(threefry_keys(keys))
    return jnp.where(jnp.broadcast_to(keep, x.shape), x / (1.0 - rate), jnp.zeros_like(x))
