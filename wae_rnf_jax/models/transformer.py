"""A stack of transformer blocks: pre-norm, with rotary positions, for encoder and decoder alike.

Letters: N rows, T positions, M positions that can be attended to, H hidden, A heads, D = H/A.

Attention is written out, so that forward mode holds: the geometry of the latent space needs it. The
residual stream, norms and softmax are at least float32; products run in the dtype given.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.linear import linear, product

Cache = tuple[jax.Array, jax.Array]  # keys and values, each [N, M, A, D]
Dropout = Callable[[jax.Array, int], jax.Array]  # of one array, and the number of its place

_LONGEST_WAVE = 10_000.0


def rotated(x: jax.Array, positions: jax.Array) -> jax.Array:
    """Turns pairs of features by angles that grow with the position (Su et al. 2021).

    Inner products of rotated vectors depend on the positions' difference alone.

    Args:
      x: [N, T, A, D], D even.
      positions: [N, T] or [1, T].

    Returns:
      [N, T, A, D].
    """
    half = x.shape[-1] // 2
    rates = _LONGEST_WAVE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = positions.astype(jnp.float32)[..., None] * rates[None, None]
    cos, sin = (
        jnp.broadcast_to(f(angles)[:, :, None], (*x.shape[:-1], half)).astype(x.dtype)
        for f in (jnp.cos, jnp.sin)
    )
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


class TransformerBlock(nn.Module):
    """Attention and two layers, each added to what it reads normalized (Vaswani et al. 2017)."""

    hidden_dim: int
    num_heads: int
    feedforward_dim: int
    initializers: Initializers = DEFAULT

    def setup(self) -> None:
        family, hidden, inner = self.initializers, self.hidden_dim, self.feedforward_dim
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(), nn.LayerNorm()
        for name, fan_in, fan_out in (
            ("attention_in", hidden, 3 * hidden),
            ("attention_out", hidden, hidden),
            ("feedforward_in", hidden, inner),
            ("feedforward_out", inner, hidden),
        ):
            kernel = self.param(f"{name}_kernel", family.dense_kernel(fan_in), (fan_in, fan_out))
            bias = self.param(f"{name}_bias", family.dense_bias(fan_in), (fan_out,))
            setattr(self, name, (kernel, bias))

    def __call__(
        self,
        x: jax.Array,
        positions: jax.Array,
        mask: jax.Array,
        dtype: jnp.dtype,
        dropout: Dropout | None,
        first_place: int,
    ) -> jax.Array:
        """Args: x [N, T, H]; positions [1, T]; mask [N or 1, T, T]. Returns [N, T, H]."""
        query, key, value = self._projected(x, positions, dtype)
        read = self._attended(query, (key, value), mask, dtype)
        x = x + _dropped(read, dropout, first_place)
        return x + _dropped(self._fed(x, dtype), dropout, first_place + 1)

    def cached(self, cache: Cache, x: jax.Array, position: jax.Array, dtype: jnp.dtype):
        """One position of each row: cache, x [N, H], position [N] -> cache and [N, H]."""
        query, *new = self._projected(x[:, None], position[:, None], dtype)
        rows = jnp.arange(x.shape[0])
        cache = tuple(
            old.at[rows, position].set(at_position[:, 0].astype(old.dtype))
            for old, at_position in zip(cache, new, strict=True)
        )
        known = jnp.arange(cache[0].shape[1])[None] <= position[:, None]
        x = x + self._attended(query, cache, known[:, None], dtype)[:, 0]
        return cache, x + self._fed(x, dtype)

    def _projected(self, x: jax.Array, positions: jax.Array, dtype: jnp.dtype):
        """Query, key and value, each [N, T, A, D]; the first two know their positions."""
        heads = (*x.shape[:2], self.num_heads, self.hidden_dim // self.num_heads)
        projected = linear(self.attention_norm(x), *self.attention_in, dtype)
        query, key, value = (part.reshape(heads) for part in jnp.split(projected, 3, axis=-1))
        return rotated(query, positions), rotated(key, positions), value

    def _attended(self, query: jax.Array, cache: Cache, mask: jax.Array, dtype: jnp.dtype):
        """What the queries [N, T, A, D] read where the mask [N or 1, T, M] allows: [N, T, H]."""
        key, value = (part.astype(dtype) for part in cache)
        wide = {"preferred_element_type": query.dtype}
        scores = jnp.einsum("ntad,nmad->natm", query.astype(dtype), key, **wide)
        scores = scores * query.shape[-1] ** -0.5
        mask = jnp.broadcast_to(mask[:, None], scores.shape)
        weights = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(scores.dtype).min), axis=-1)
        read = jnp.einsum("natm,nmad->ntad", weights.astype(dtype), value, **wide)
        return linear(read.reshape(*read.shape[:2], -1), *self.attention_out, dtype)

    def _fed(self, x: jax.Array, dtype: jnp.dtype) -> jax.Array:
        inner = nn.gelu(linear(self.feedforward_norm(x), *self.feedforward_in, dtype))
        return linear(inner, *self.feedforward_out, dtype)


class TransformerStack(nn.Module):
    """A linear map of the words to H, blocks, and a last norm.

    Attributes:
      input_dim: E.  hidden_dim: H.
      num_layers: blocks.
      num_heads: A; H/A must be even, for the rotation.
      feedforward_dim: inner features of each block; 0 for 4·H.
      initializers: the family of initializers.
    """

    input_dim: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    feedforward_dim: int = 0
    initializers: Initializers = DEFAULT

    def setup(self) -> None:
        kernel = self.initializers.dense_kernel(self.input_dim)
        self.word_kernel = self.param("word_kernel", kernel, (self.input_dim, self.hidden_dim))
        inner = self.feedforward_dim or 4 * self.hidden_dim
        self.blocks = [
            TransformerBlock(self.hidden_dim, self.num_heads, inner, self.initializers)
            for _ in range(self.num_layers)
        ]
        self.last_norm = nn.LayerNorm()

    def words(self, embedded: jax.Array) -> jax.Array:
        """Args: embedded [..., E]. Returns [..., H], wide."""
        return product(embedded, self.word_kernel, embedded.dtype)

    def __call__(
        self, x: jax.Array, mask: jax.Array, dtype: jnp.dtype, dropout: Dropout | None = None
    ) -> jax.Array:
        """Args: x [N, T, H]; mask [N or 1, T, T], who reads whom. Returns [N, T, H]."""
        positions = jnp.arange(x.shape[1])[None]
        for number, block in enumerate(self.blocks):
            x = block(x, positions, mask, dtype, dropout, 2 * number)
        return self.last_norm(x)

    def empty_cache(self, num_rows: int, num_positions: int, dtype: jnp.dtype):
        """Args: N; M; dtype. Returns a cache for each block."""
        shape = (num_rows, num_positions, self.num_heads, self.hidden_dim // self.num_heads)
        return tuple((jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in self.blocks)

    def cached(self, caches, x: jax.Array, position: jax.Array, dtype: jnp.dtype):
        """One position of each row: caches, x [N, H], position [N] -> caches and [N, H]."""
        new = []
        for block, cache in zip(self.blocks, caches, strict=True):
            cache, x = block.cached(cache, x, position, dtype)
            new.append(cache)
        return tuple(new), self.last_norm(x)


def _dropped(x: jax.Array, dropout: Dropout | None, place: int) -> jax.Array:
    return x if dropout is None else dropout(x, place)
