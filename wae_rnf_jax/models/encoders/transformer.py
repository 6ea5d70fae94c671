"""A transformer over `<bos> w1 … wn`, whose outputs' mean summarizes the sentence.

Letters: B batch, T time steps, E embedding, H hidden.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.sequences import sequence_mask
from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.transformer import Dropout, TransformerStack
from wae_rnf_jax.rules import Count, Size


class TransformerEncoder(nn.Module):
    """Every word reads every other; the summary is the mean of what they have become.

    Attributes:
      embedding_dim: E.  hidden_dim: H.
      initializers: the family of initializers.
      num_layers: blocks.
      num_heads: of attention; H must be an even multiple of it.
      feedforward_dim: inner features of each block; 0 for 4·H.
    """

    embedding_dim: int
    hidden_dim: int
    initializers: Initializers = DEFAULT
    num_layers: Size = 2
    num_heads: Size = 4
    feedforward_dim: Count = 0

    @property
    def summary_dim(self) -> int:
        """Size of the summary, H."""
        return self.hidden_dim

    @nn.compact
    def __call__(
        self, embedded: jax.Array, lengths: jax.Array, *, dropout: Dropout | None = None
    ) -> jax.Array:
        """Args: embedded [B, T, E]; lengths [B] of valid steps, at least 1. Returns [B, H]."""
        stack = TransformerStack(
            self.embedding_dim,
            self.hidden_dim,
            self.num_layers,
            self.num_heads,
            self.feedforward_dim,
            self.initializers,
            name="stack",
        )
        valid = sequence_mask(lengths, embedded.shape[1])
        mask = jnp.broadcast_to(valid[:, None], (*valid.shape, valid.shape[1]))
        outputs = stack(stack.words(embedded), mask, embedded.dtype, dropout)
        counted = jnp.where(valid[..., None], outputs, 0)
        return counted.sum(1) / lengths.astype(counted.dtype)[:, None]
