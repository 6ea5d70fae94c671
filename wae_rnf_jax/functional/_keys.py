"""Random keys that draw for themselves, whatever generator the caller chose."""

import functools

import jax
import jax.numpy as jnp

_THREEFRY = "threefry2x32"


def random_key(seed: int | jax.Array) -> jax.Array:
    """The typed key of a seed, of threefry whatever generator JAX was told to take by default."""
    return jax.random.key(seed, impl=_THREEFRY)


def key_of_data(data: jax.Array) -> jax.Array:
    """The key that `jax.random.key_data` took apart."""
    return jax.random.wrap_key_data(data, impl=_THREEFRY)


def threefry_keys(keys: jax.Array) -> jax.Array:
    """Keys of threefry, of which each draws what it would draw alone, in any batch.

    Under ``jax.vmap`` the generators ``rbg`` and ``unsafe_rbg`` draw for a whole batch from its
    first key. An example's noise would depend on its neighbors; and once the first of a batch of
    rejection samplers had its point, the others would be offered the same proposal for ever.

    Args:
      keys: typed keys of any generator and shape, or a raw one (`jax.random.PRNGKey`).

    Returns:
      Typed keys of threefry: the same ones, or made from all bits of others.
    """
    if not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key):
        keys = jax.random.wrap_key_data(keys)
    if str(jax.random.key_impl(keys)) == _THREEFRY:
        return keys
    words = jax.random.key_data(keys)

    def folded(words: jax.Array) -> jax.Array:
        return functools.reduce(jax.random.fold_in, words, jax.random.key(0, impl=_THREEFRY))

    return jax.vmap(folded)(words.reshape(-1, words.shape[-1])).reshape(keys.shape)


def assert_keys(keys: jax.Array, shape: tuple[int, ...]) -> None:
    """Raises AssertionError unless these are typed keys of a shape."""
    if not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key):
        raise AssertionError(f"random keys must be typed (jax.random.key), got dtype {keys.dtype}.")
    if keys.shape != shape or len(shape) > 1:
        raise AssertionError(f"random keys must have shape {shape}, got {keys.shape}.")
