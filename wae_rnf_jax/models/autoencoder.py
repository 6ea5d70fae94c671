"""The text autoencoder: embedding, encoder, posterior, flow and decoder composed.

Letters: B batch, L words, T = L + 1 predicted tokens, V vocabulary, E embedding, H hidden,
Z latent, K flow steps, S samples.

A language model is the same module with an empty code (`latent_dim` 0): its encoder is not built,
its codes have shape [B, 0], its Kullback-Leibler term is 0, and every estimator holds as it is.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.gaussian import gaussian_sample
from wae_rnf_jax.functional.losses import fused_linear_cross_entropy
from wae_rnf_jax.functional.sequences import (
    bos_inputs,
    eos_targets,
    example_dropout,
    example_normal,
    sequence_mask,
    word_dropout,
)
from wae_rnf_jax.models.decoder import LSTMDecoder
from wae_rnf_jax.models.encoder import LSTMEncoder
from wae_rnf_jax.models.flow import FlowStack
from wae_rnf_jax.models.initializers import INITIALIZERS
from wae_rnf_jax.models.lstm import Carry
from wae_rnf_jax.models.posterior import GaussianPosterior


class ForwardPass(NamedTuple):
    """What one pass over a batch gives the objectives; all per example."""

    nll: jax.Array  # [B] reconstruction: the sentence's NLL given zk
    mean: jax.Array  # [B, Z]
    log_var: jax.Array  # [B, Z]
    z0: jax.Array  # [B, Z] a draw from the posterior, before the flow
    points: jax.Array  # [K+1, B, Z] the flow's trajectory, z0 first
    log_dets: jax.Array  # [K, B] one a flow step

    @property
    def zk(self) -> jax.Array:
        """The code that the decoder read, [B, Z]."""
        return self.points[-1]

    @property
    def log_det(self) -> jax.Array:
        """The flow's summed log|det|, [B]."""
        return self.log_dets.sum(0)


class TextAutoencoder(nn.Module):
    """Encoder, posterior, flow and decoder over one embedding (SPEC section 2).

    Attributes:
      vocab_size: V.  embedding_dim: E.  hidden_dim: H.  latent_dim: Z; 0 is a language model.
      flow: kind of flow step.  num_flow_steps: K; 0 for none.
      batch_norm: normalise the posterior's mean and log_var over the batch.
      initial_log_var: where the posterior's log_var starts.
      z_every_step: feed zk at every decoder step.  tied_output: tie output to embedding.
      dropout: rate on encoder embeddings, decoder embeddings and decoder outputs.
      word_dropout: rate at which decoder inputs become `<unk>`.
      initializer: "default" or "pytorch".
      cross_entropy_block: rows of logits held at once.
      dtype: "float32" or "bfloat16", of the operands of the words' products: LSTMs and output
        layer. Parameters, carries, posterior, codes, flow and all that is summed stay float32.
      axis_name: mapped axis of the batch (batch normalisation is over the global batch).
    """

    vocab_size: int
    embedding_dim: int
    hidden_dim: int
    latent_dim: int
    flow: str = "planar"
    num_flow_steps: int = 0
    batch_norm: bool = False
    initial_log_var: float = 0.0
    z_every_step: bool = False
    tied_output: bool = False
    dropout: float = 0.0
    word_dropout: float = 0.0
    initializer: str = "default"
    cross_entropy_block: int = 256
    dtype: str = "float32"
    axis_name: str | None = None

    def setup(self) -> None:
        family = INITIALIZERS[self.initializer]
        self.embedding = self.param(
            "embedding", family.embedding, (self.vocab_size, self.embedding_dim)
        )
        if self.latent_dim:
            self.encoder = LSTMEncoder(self.embedding_dim, self.hidden_dim, family)
            self.posterior = GaussianPosterior(
                self.latent_dim,
                2 * self.hidden_dim,
                self.batch_norm,
                self.initial_log_var,
                self.axis_name,
                family,
            )
            self.flow_stack = FlowStack(self.flow, self.num_flow_steps, self.latent_dim)
        self.decoder = LSTMDecoder(
            self.vocab_size,
            self.embedding_dim,
            self.hidden_dim,
            self.latent_dim,
            self.z_every_step,
            self.tied_output,
            family,
        )

    def __call__(
        self,
        tokens: jax.Array,
        lengths: jax.Array,
        keys: jax.Array,
        *,
        where: jax.Array,
        train: bool,
    ) -> ForwardPass:
        """Encodes, draws a code, runs the flow and scores the sentence.

        Args:
          tokens: [B, L] word ids, padded.
          lengths: [B] words.
          keys: [B] random keys, one an example: every draw is keyed by its example, so that no
            layout of the batch over devices changes one.
          where: [B] valid rows: batch normalisation counts no other, and the nll of others is 0.
          train: dropout on, batch statistics used and updated.
        """
        latent_keys, *dropout_keys = jax.vmap(lambda k: jax.random.split(k, 5))(keys).T
        inputs = bos_inputs(tokens)
        rate = self.dropout if train else 0.0
        embedded = self._embedded(inputs)
        mean, log_var = self._posterior(
            example_dropout(dropout_keys[0], embedded, rate=rate), lengths, where, train
        )
        noise = example_normal(latent_keys, (self.latent_dim,))
        z0 = gaussian_sample(mean, log_var, noise)
        points, log_dets = self._trajectory(z0)
        if train and self.word_dropout:
            inputs = word_dropout(dropout_keys[1], inputs, rate=self.word_dropout)
            embedded = self._embedded(inputs)
        outputs = self.decoder(points[-1], example_dropout(dropout_keys[2], embedded, rate=rate))
        outputs = example_dropout(dropout_keys[3], outputs, rate=rate)
        nll = self._sentence_nll(outputs, tokens, lengths, where)
        return ForwardPass(nll, mean, log_var, z0, points, log_dets)

    def encode(self, tokens: jax.Array, lengths: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: tokens [B, L]; lengths [B]. Returns mean [B, Z] and log_var [B, Z], no dropout."""
        embedded = self._embedded(bos_inputs(tokens))
        return self._posterior(embedded, lengths, jnp.ones(len(tokens), bool), False)

    def flow_forward(self, z0: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: z0 [..., Z]. Returns zk [..., Z] and the summed log-det [...]."""
        points, log_dets = self._trajectory(z0)
        return points[-1], log_dets.sum(0)

    def flow_inverse(self, zk: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: zk [..., Z]. Returns z0 [..., Z] and log|det ∂z0/∂zk| [...]."""
        if not self.latent_dim:
            return zk, jnp.zeros(zk.shape[:-1], zk.dtype)
        return self.flow_stack.inverse(zk)

    def reconstruction_nll(self, zk: jax.Array, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
        """Scores sentences under given codes, without dropout.

        Args:
          zk: [..., B, Z]; leading axes are samples, and share all work that is the words' alone.
          tokens: [B, L].
          lengths: [B].

        Returns:
          [..., B] NLL of each sentence, nats, `<eos>` counted.
        """
        outputs = self.decoder(zk, self._embedded(bos_inputs(tokens)))
        return self._sentence_nll(outputs, tokens, lengths)

    def token_logits(self, zk: jax.Array, tokens: jax.Array, positions: jax.Array) -> jax.Array:
        """What is predicted at some positions, teacher-forced, without dropout.

        Args: zk [B, Z]; tokens [B, L]; positions [N] of the B·T. Returns logits [N, V].
        """
        outputs = self.decoder(zk, self._embedded(bos_inputs(tokens)))
        return self._logits(outputs.reshape(-1, outputs.shape[-1])[positions])

    def initial_carry(self, zk: jax.Array) -> Carry:
        """Args: zk [B, Z]. Returns the decoder's carry before `<bos>`."""
        return self.decoder.initial_carry(zk)

    def decode_step(self, carry: Carry, token: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """Args: carry; token [B], the last one; zk [B, Z]. Returns carry and logits [B, V]."""
        carry = self.decoder.step(carry, self._embedded(token), zk)
        return carry, self._logits(carry[0])

    def _embedded(self, inputs: jax.Array) -> jax.Array:
        return self.embedding[inputs].astype(self.dtype)

    def _output_layer(self) -> tuple[jax.Array, jax.Array]:
        kernel, bias = self.decoder.output_layer(self.embedding)
        return kernel.astype(self.dtype), bias

    def _logits(self, outputs: jax.Array) -> jax.Array:
        kernel, bias = self._output_layer()
        logits = jnp.matmul(outputs.astype(self.dtype), kernel, preferred_element_type=bias.dtype)
        return logits + jnp.broadcast_to(bias, logits.shape)

    def _posterior(self, embedded, lengths, where, train):
        if not self.latent_dim:
            empty = jnp.zeros((embedded.shape[0], 0))
            return empty, empty
        return self.posterior(self.encoder(embedded, lengths + 1), where=where, train=train)

    def _trajectory(self, z0: jax.Array) -> tuple[jax.Array, jax.Array]:
        if not self.latent_dim:
            return z0[None], jnp.zeros((0, *z0.shape[:-1]), z0.dtype)
        return self.flow_stack.trajectory(z0)

    def _sentence_nll(self, outputs, tokens, lengths, where=None):
        targets = jnp.broadcast_to(eos_targets(tokens, lengths), outputs.shape[:-1])
        counted = sequence_mask(lengths + 1, outputs.shape[-2])
        if where is not None:  # all counted tokens then weigh alike: the fast gradient holds
            counted = counted & where[:, None]
        kernel, bias = self._output_layer()
        nll = fused_linear_cross_entropy(
            outputs,
            kernel,
            bias,
            targets,
            block_size=self.cross_entropy_block,
            where=jnp.broadcast_to(counted, targets.shape),
        )
        return nll.sum(-1)
