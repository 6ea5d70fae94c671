"""An encoder of two LSTMs over `<bos> w1 … wn`, one from either end.

Letters: B batch, T time steps, E embedding, S state.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.lstm import LSTM
from wae_rnf_jax.rules import Count, Share


class BidirectionalLSTMEncoder(nn.Module):
    """Summarizes embedded tokens by the last hidden and cell states of both LSTMs.

    Attributes: as of `LSTMEncoder`.
    """

    embedding_dim: int
    hidden_dim: int
    initializers: Initializers = DEFAULT
    recurrent_dropout: Share = 0.0
    state_dim: Count = 0

    @property
    def summary_dim(self) -> int:
        """Size of the summary, 4·S."""
        return 4 * (self.state_dim or self.hidden_dim)

    @nn.compact
    def __call__(
        self, embedded: jax.Array, lengths: jax.Array, *, dropout: None = None
    ) -> jax.Array:
        """Args: embedded [B, T, E]; lengths [B] of valid steps, at least 1. Returns [B, 4S].

        There is no layer between to drop anything of: `dropout` is not read.
        """
        del dropout
        states = []
        for name, inputs in (("forward", embedded), ("backward", _turned(embedded, lengths))):
            lstm = LSTM(
                self.state_dim or self.hidden_dim,
                self.embedding_dim,
                initializers=self.initializers,
                recurrent_dropout=self.recurrent_dropout,
                name=name,
            )
            states.append(lstm.last_state(inputs, lengths))
        return jnp.concatenate(states, axis=-1)


def _turned(embedded: jax.Array, lengths: jax.Array) -> jax.Array:
    """Each row's valid steps in the opposite order; what follows them is not read."""
    steps = lengths[:, None] - 1 - jnp.arange(embedded.shape[1])[None]
    return jnp.take_along_axis(embedded, jnp.maximum(steps, 0)[..., None], axis=1)
