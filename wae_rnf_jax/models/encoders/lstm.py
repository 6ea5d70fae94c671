"""The encoder: an LSTM over `<bos> w1 … wn` whose last state summarises the sentence.

Letters: B batch, T time steps, E embedding, H hidden.
"""

import flax.linen as nn
import jax

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.lstm import LSTM
from wae_rnf_jax.rules import Share


class LSTMEncoder(nn.Module):
    """Summarises embedded tokens by the last hidden and cell state."""

    embedding_dim: int
    hidden_dim: int
    initializers: Initializers = DEFAULT
    recurrent_dropout: Share = 0.0

    @property
    def summary_dim(self) -> int:
        """Size of the summary, 2·H."""
        return 2 * self.hidden_dim

    @nn.compact
    def __call__(
        self, embedded: jax.Array, lengths: jax.Array, *, dropout: None = None
    ) -> jax.Array:
        """Args: embedded [B, T, E]; lengths [B] of valid steps, at least 1. Returns [B, 2H].

        There is no layer between to drop anything of: `dropout` is not read.
        """
        del dropout
        lstm = LSTM(
            self.hidden_dim,
            self.embedding_dim,
            initializers=self.initializers,
            recurrent_dropout=self.recurrent_dropout,
            name="lstm",
        )
        return lstm.last_state(embedded, lengths)
