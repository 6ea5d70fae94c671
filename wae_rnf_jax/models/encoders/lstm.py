"""The encoder: an LSTM over `<bos> w1 … wn` whose last state summarizes the sentence.

Letters: B batch, T time steps, E embedding, H hidden, S state.
"""

import flax.linen as nn
import jax

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.lstm import LSTM
from wae_rnf_jax.rules import Count, Share


class LSTMEncoder(nn.Module):
    """Summarizes embedded tokens by the last hidden and cell state.

    Attributes:
      embedding_dim: E.  hidden_dim: H, of the model.
      initializers: the family of initializers.
      recurrent_dropout: rate at which recurrent weights are dropped in training.
      state_dim: S, the size of h and c; 0 for H.
    """

    embedding_dim: int
    hidden_dim: int
    initializers: Initializers = DEFAULT
    recurrent_dropout: Share = 0.0
    state_dim: Count = 0

    @property
    def summary_dim(self) -> int:
        """Size of the summary, 2·S."""
        return 2 * (self.state_dim or self.hidden_dim)

    @nn.compact
    def __call__(
        self, embedded: jax.Array, lengths: jax.Array, *, dropout: None = None
    ) -> jax.Array:
        """Args: embedded [B, T, E]; lengths [B] of valid steps, at least 1. Returns [B, 2S].

        There is no layer between to drop anything of: `dropout` is not read.
        """
        del dropout
        lstm = LSTM(
            self.state_dim or self.hidden_dim,
            self.embedding_dim,
            initializers=self.initializers,
            recurrent_dropout=self.recurrent_dropout,
            name="lstm",
        )
        return lstm.last_state(embedded, lengths)
