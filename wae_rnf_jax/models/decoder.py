"""The decoder: an LSTM started from the code, and the output layer over the vocabulary.

Letters: B batch, T time steps, V vocabulary, E embedding, H hidden, Z latent.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.lstm import LSTM, Carry


class LSTMDecoder(nn.Module):
    """Predicts each next token from the code and the tokens before it.

    The LSTM starts from the halves (h, c) of tanh(W·zk + b). An empty code (Z = 0) leaves
    tanh(b), a learned start: a language model.

    Attributes:
      vocab_size: V.  embedding_dim: E.  hidden_dim: H.  latent_dim: Z.
      z_every_step: also add zk to every step's input.
      tied_output: the output kernel is the embedding, transposed (then E = H).
      initializers: the family of initialisers.
    """

    vocab_size: int
    embedding_dim: int
    hidden_dim: int
    latent_dim: int
    z_every_step: bool = False
    tied_output: bool = False
    initializers: Initializers = DEFAULT

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
        context_dim = self.latent_dim if self.z_every_step else 0
        self.lstm = LSTM(self.hidden_dim, self.embedding_dim, context_dim, family)
        if not self.tied_output:
            self.output_kernel = self.param(
                "output_kernel",
                family.dense_kernel(self.hidden_dim),
                (self.hidden_dim, self.vocab_size),
            )
        self.output_bias = self.param(
            "output_bias", family.dense_bias(self.hidden_dim), (self.vocab_size,)
        )

    def initial_carry(self, zk: jax.Array) -> Carry:
        """Args: zk [..., B, Z]. Returns (h, c), each [..., B, H]."""
        if self.latent_dim:
            start = self.initial_state(zk)
        else:
            start = jnp.broadcast_to(self.initial_bias, (*zk.shape[:-1], 2 * self.hidden_dim))
        h, c = jnp.split(jnp.tanh(start), 2, axis=-1)
        return h, c

    def __call__(self, zk: jax.Array, embedded: jax.Array) -> jax.Array:
        """Args: zk [..., B, Z]; embedded inputs [B, T, E]. Returns outputs [..., B, T, H]."""
        _, outputs = self.lstm(self.initial_carry(zk), embedded, context=zk)
        return outputs

    def step(self, carry: Carry, embedded: jax.Array, zk: jax.Array) -> Carry:
        """Args: carry; embedded [B, E]; zk [B, Z]. Returns the carry, whose h is the output."""
        return self.lstm.step(carry, embedded, zk)

    def output_layer(self, embedding: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: embedding [V, E]. Returns the kernel [H, V] and bias [V] of the output layer."""
        kernel = embedding.T if self.tied_output else self.output_kernel
        return kernel, self.output_bias
