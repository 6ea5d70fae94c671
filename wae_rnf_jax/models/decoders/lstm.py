"""The decoder: an LSTM started from the code.

Letters: B batch, T time steps, E embedding, H hidden, Z latent.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.lstm import LSTM, Carry
from wae_rnf_jax.rules import Share, Switch


class LSTMDecoder(nn.Module):
    """Predicts each next token from the code and the tokens before it.

    The LSTM starts from the halves (h, c) of tanh(W·zk + b). An empty code (Z = 0) leaves
    tanh(b), a learned start: a language model.

    Attributes:
      embedding_dim: E.  hidden_dim: H.  latent_dim: Z.
      initializers: the family of initializers.
      z_every_step: also add zk to every step's input.
      z_output: also add a linear map of zk, 0 at first, to every output: a topic of all words.
      recurrent_dropout: rate at which the LSTM's recurrent weights are dropped in training.
    """

    embedding_dim: int
    hidden_dim: int
    latent_dim: int
    initializers: Initializers = DEFAULT
    z_every_step: Switch = False
    z_output: Switch = False
    recurrent_dropout: Share = 0.0

    def setup(self) -> None:
        family = self.initializers
        if self.latent_dim:
            self.initial_state = nn.Dense(
                2 * self.hidden_dim,
                kernel_init=family.dense_kernel(self.latent_dim),
                bias_init=family.dense_bias(self.latent_dim),
            )
        else:
            self.initial_bias = self.param(
                "initial_bias", nn.initializers.zeros, (2 * self.hidden_dim,)
            )
        if self.latent_dim and self.z_output:
            zeros = nn.initializers.zeros
            self.topic = nn.Dense(self.hidden_dim, use_bias=False, kernel_init=zeros)
        context_dim = self.latent_dim if self.z_every_step else 0
        sizes = self.hidden_dim, self.embedding_dim, context_dim
        self.lstm = LSTM(*sizes, family, recurrent_dropout=self.recurrent_dropout)

    def start(self, zk: jax.Array, max_length: int | None = None) -> Carry:
        """Args: zk [..., B, Z]. Returns (h, c), each [..., B, H], for sentences of any length."""
        del max_length
        if self.latent_dim:
            start = self.initial_state(zk)
        else:
            start = jnp.broadcast_to(self.initial_bias, (*zk.shape[:-1], 2 * self.hidden_dim))
        h, c = jnp.split(jnp.tanh(start), 2, axis=-1)
        return h, c

    def step(self, carry: Carry, embedded: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """Args: carry; embedded [B, E]; zk [B, Z]. Returns the carry and the output [B, H]."""
        carry = self.lstm.step(carry, embedded, zk)
        return carry, self._output(carry[0], zk)

    def _output(self, h: jax.Array, zk: jax.Array) -> jax.Array:
        return h + self.topic(zk).astype(h.dtype) if self.latent_dim and self.z_output else h

    def __call__(self, zk: jax.Array, embedded: jax.Array, *, dropout: Any = None) -> jax.Array:
        """Args: zk [..., B, Z]; embedded inputs [B, T, E]. Returns outputs [..., B, T, H].

        There is no layer between to drop anything of: `dropout` is not read.
        """
        del dropout
        _, outputs = self.lstm(self.start(zk), embedded, context=zk)
        return self._output(outputs, zk[..., None, :])

    def state_features(self, zk: jax.Array) -> jax.Array:
        """Args: zk [B, Z]. Returns the initial state (h, c) as one vector [B, 2H]."""
        return jnp.concatenate(self.start(zk), axis=-1)
