"""A transformer decoder whose words read the code, themselves and the words before them.

Letters: B batch, T positions, M positions of the cache, E embedding, H hidden, Z latent.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.transformer import Cache, Dropout, TransformerStack
from wae_rnf_jax.rules import Count, Size


class Carry(NamedTuple):
    """What is kept between positions, each leaf led by the batch."""

    position: jax.Array  # [B] of the next word
    caches: tuple[Cache, ...]  # of every block, keys and values [B, M, A, D]


class TransformerDecoder(nn.Module):
    """Predicts each next token from the code and the tokens before it.

    The code enters twice: as a position of its own before the first word, and added to every
    word's input. Positions are rotary, so that sentences may be longer than any in training. There
    is no initial state, and no metric of one. A language model (Z = 0) has no such position.

    Attributes:
      embedding_dim: E.  hidden_dim: H.  latent_dim: Z.
      initializers: the family of initializers.
      num_layers: blocks.
      num_heads: of attention; H must be an even multiple of it.
      feedforward_dim: inner features of each block; 0 for 4·H.
    """

    embedding_dim: int
    hidden_dim: int
    latent_dim: int
    initializers: Initializers = DEFAULT
    num_layers: Size = 2
    num_heads: Size = 4
    feedforward_dim: Count = 0

    def setup(self) -> None:
        family, sizes = self.initializers, (self.latent_dim, self.hidden_dim)
        self.stack = TransformerStack(
            self.embedding_dim,
            self.hidden_dim,
            self.num_layers,
            self.num_heads,
            self.feedforward_dim,
            family,
        )
        if self.latent_dim:
            kernel = family.dense_kernel(self.latent_dim)
            self.code_kernel = self.param("code_kernel", kernel, sizes)
            self.first_kernel = self.param("first_kernel", kernel, sizes)

    def start(self, zk: jax.Array, max_length: int) -> Carry:
        """Args: zk [B, Z]; the most steps that follow. Returns the carry, the code in its cache."""
        batch, dtype = zk.shape[0], jnp.promote_types(zk.dtype, jnp.float32)
        caches = self.stack.empty_cache(batch, max_length + bool(self.latent_dim), dtype)
        position = jnp.zeros(batch, jnp.int32)
        if self.latent_dim:
            caches, _ = self.stack.cached(caches, zk @ self.first_kernel, position, dtype)
            position = position + 1
        return Carry(position, caches)

    def step(self, carry: Carry, embedded: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """One position. Args: carry; embedded [B, E]; zk [B, Z]. Returns carry, output [B, H]."""
        x = self.stack.words(embedded)
        if self.latent_dim:
            x = x + zk @ self.code_kernel
        caches, output = self.stack.cached(carry.caches, x, carry.position, embedded.dtype)
        return Carry(carry.position + 1, caches), output.astype(embedded.dtype)

    def __call__(
        self, zk: jax.Array, embedded: jax.Array, *, dropout: Dropout | None = None
    ) -> jax.Array:
        """All positions at once.

        Args:
          zk: [..., B, Z]; leading axes are several codes of the same sentences, which share the
            product with the words alone.
          embedded: [B, T, E], float32 or of lower precision.
          dropout: of one array [B, ...] and the number of its place; None drops nothing.

        Returns:
          Outputs [..., B, T, H] in the dtype of embedded.
        """
        words = self.stack.words(embedded)
        shape = (*zk.shape[:-1], *words.shape[1:])
        x = jnp.broadcast_to(jnp.expand_dims(words, range(zk.ndim - 2)), shape)
        if self.latent_dim:
            x = x + jnp.broadcast_to((zk @ self.code_kernel)[..., None, :], shape)
            x = jnp.concatenate([(zk @ self.first_kernel)[..., None, :], x], axis=-2)
        rows = x.reshape(-1, *x.shape[-2:])
        earlier = jnp.tril(jnp.ones((rows.shape[1], rows.shape[1]), bool))[None]
        outputs = self.stack(rows, earlier, embedded.dtype, dropout)
        outputs = outputs[:, -embedded.shape[1] :]
        return outputs.astype(embedded.dtype).reshape(shape)
