"""The text autoencoder: embedding, encoder, posterior, flow, decoder and output layer composed.

Letters: B batch, L words, T = L + 1 predicted tokens, V vocabulary, E embedding, H hidden,
Z latent, K flow steps, S samples.

A language model is the same module with an empty code (`latent_dim` 0): its encoder is not built,
its codes have shape [B, 0], its Kullback-Leibler term is 0, and every estimator holds as it is.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.choices import Choice
from wae_rnf_jax.functional.distributions import DiagonalGaussian, Posterior, Prior
from wae_rnf_jax.functional.dropout import embedding_dropout, example_dropout, word_dropout
from wae_rnf_jax.functional.flows import FLOWS
from wae_rnf_jax.functional.forward_pass import ForwardPass
from wae_rnf_jax.functional.sequences import (
    bos_inputs,
    eos_targets,
    sequence_mask,
)
from wae_rnf_jax.models.decoders import DECODERS, Carry
from wae_rnf_jax.models.encoders import ENCODERS
from wae_rnf_jax.models.flow import FlowStack
from wae_rnf_jax.models.initializers import INITIALIZERS
from wae_rnf_jax.models.output_layer import OutputLayer
from wae_rnf_jax.models.posteriors import POSTERIORS
from wae_rnf_jax.rules import Count, Share, Size, Switch, one_of


class _PassKeys(NamedTuple):
    """One key an example for each draw of a pass, [B] each."""

    latent: jax.Array
    encoder_inputs: jax.Array
    words: jax.Array
    decoder_inputs: jax.Array
    outputs: jax.Array

    @classmethod
    def of(cls, keys: jax.Array) -> "_PassKeys":
        return cls(*jax.vmap(lambda key: jax.random.split(key, 5))(keys).T)


class TextAutoencoder(nn.Module):
    """Encoder, posterior, flow and decoder over one embedding, or one each (SPEC section 2).

    A pass in two halves, `infer` (sentences to posteriors) and `score` (codes and sentences to
    NLL); `__call__` is their composition with a draw of the code and the flow between.

    Attributes:
      vocab_size: V.
      embedding_dim: E.
      hidden_dim: H.
      latent_dim: Z; 0 is a language model.
      encoder_choice: name and arguments of an encoder.
      posterior_choice: name and arguments of a posterior.
      decoder_choice: name and arguments of a decoder.
      flow: kind of flow step.
      num_flow_steps: K; 0 for none.
      shared_embedding: one embedding serves encoder and decoder.
      tied_output: tie output to the decoder's embedding.
      dropout: rate on encoder embeddings, decoder embeddings and decoder outputs, and between the
        layers of a transformer.
      locked_dropout: the same entries are dropped at all steps of a sentence.
      embedding_dropout: rate at which a sentence's words lose their embedding, at all places alike.
      word_dropout: rate at which decoder inputs become `<unk>`.
      encoder_word_dropout: rate at which encoder inputs do (Shen et al. 2020, "Educating Text
        Autoencoders: Latent Representation Guidance via Denoising").
      initializer: "default" or "pytorch".
      cross_entropy_block: rows of logits held at once.
      dtype: "float32" or "bfloat16", of the operands of the words' products: encoder, decoder and
        output layer. Parameters, carries, posterior, codes, flow and all that is summed stay
        float32.
      axis_name: mapped axis of the batch (batch normalization is over the global batch).
    """

    vocab_size: int
    embedding_dim: Size
    hidden_dim: Size
    latent_dim: Count
    encoder_choice: Choice = Choice("lstm")
    posterior_choice: Choice = Choice("gaussian")
    decoder_choice: Choice = Choice("lstm")
    flow: Annotated[str, one_of(*FLOWS)] = "planar"
    num_flow_steps: Count = 0
    shared_embedding: Switch = True
    tied_output: Switch = False
    dropout: Share = 0.0
    locked_dropout: Switch = False
    embedding_dropout: Share = 0.0
    word_dropout: Share = 0.0
    encoder_word_dropout: Share = 0.0
    initializer: Annotated[str, one_of(*INITIALIZERS)] = "default"
    cross_entropy_block: Size = 256
    dtype: Annotated[str, one_of("float32", "bfloat16")] = "float32"
    axis_name: str | None = None

    @property
    def prior(self) -> Prior:
        """The distribution of codes that decode to the model's own sentences."""
        return POSTERIORS[self.posterior_choice.name].prior(self.latent_dim)

    def setup(self) -> None:
        family = INITIALIZERS[self.initializer]
        shape, sizes = (self.vocab_size, self.embedding_dim), (self.embedding_dim, self.hidden_dim)
        self.embedding = self.param("embedding", family.embedding, shape)
        if self.latent_dim:
            self.encoder_embedding = (
                self.embedding
                if self.shared_embedding
                else self.param("encoder_embedding", family.embedding, shape)
            )
            self.encoder = self.encoder_choice.build(
                ENCODERS,
                embedding_dim=self.embedding_dim,
                hidden_dim=self.hidden_dim,
                initializers=family,
            )
            self.posterior = self.posterior_choice.build(
                {name: family.module for name, family in POSTERIORS.items()},
                latent_dim=self.latent_dim,
                input_dim=self.encoder.summary_dim,
                axis_name=self.axis_name,
                initializers=family,
            )
            self.flow_stack = FlowStack(self.flow, self.num_flow_steps, self.latent_dim)
        self.decoder = self.decoder_choice.build(
            DECODERS,
            embedding_dim=self.embedding_dim,
            hidden_dim=self.hidden_dim,
            latent_dim=self.latent_dim,
            initializers=family,
        )
        self.output_layer = OutputLayer(
            self.vocab_size,
            *sizes,
            tied=self.tied_output,
            block_size=self.cross_entropy_block,
            dtype=self.dtype,
            initializers=family,
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
          where: [B] valid rows: batch normalization counts no other, and the nll of others is 0.
          train: dropout on, batch statistics used and updated.
        """
        embedded = self._embedded(bos_inputs(tokens)) if self.shared_embedding else None
        options = {"keys": keys, "where": where, "train": train, "embedded": embedded}
        posterior = self.infer(tokens, lengths, **options)
        return self.decoded(posterior, tokens, lengths, **options)

    def decoded(
        self,
        posterior: Posterior,
        tokens: jax.Array,
        lengths: jax.Array,
        keys: jax.Array,
        *,
        where: jax.Array,
        train: bool,
        embedded: jax.Array | None = None,
    ) -> ForwardPass:
        """The second half of a pass: draws codes of the posteriors and scores the sentences.

        Args:
          posterior: of B sentences.
          tokens: [B, L].
          lengths: [B].
          keys: [B], the pass's own.
          where: [B] valid rows.
          train: dropout and word dropout on.
          embedded: [B, T, E], the embedded inputs where they are at hand.
        """
        z0 = posterior.sample(_PassKeys.of(keys).latent)
        points, log_dets = self._trajectory(z0)
        options = {"keys": keys, "where": where, "train": train, "embedded": embedded}
        nll = self.score(points[-1], tokens, lengths, **options)
        return ForwardPass(nll, posterior, z0, points, log_dets)

    def infer(
        self,
        tokens: jax.Array,
        lengths: jax.Array,
        *,
        keys: jax.Array | None = None,
        where: jax.Array | None = None,
        train: bool = False,
        embedded: jax.Array | None = None,
    ) -> Posterior:
        """The posteriors of sentences: the half of a pass that touches batch statistics.

        Args:
          tokens: [B, L].
          lengths: [B].
          keys: [B], of the dropout; the pass's own. None where `train` is not set.
          where: [B] valid rows; all if None.
          train: dropout and word dropout on, batch statistics used and updated.
          embedded: [B, T, E], the embedded inputs where they are at hand.

        Returns:
          Of B sentences; before the flow.
        """
        if not self.latent_dim:
            empty = jnp.zeros((tokens.shape[0], 0))
            return DiagonalGaussian(empty, empty)
        embedded, dropout = self._inputs("encoder", tokens, embedded, keys if train else None)
        where = jnp.ones(tokens.shape[:1], bool) if where is None else where
        steps = lengths.astype(jnp.int32) + 1  # of narrower integers the longest might have none
        summary = self.encoder(embedded, steps, dropout=dropout)
        return self.posterior(summary, where=where, train=train)

    def score(
        self,
        zk: jax.Array,
        tokens: jax.Array,
        lengths: jax.Array,
        *,
        keys: jax.Array | None = None,
        where: jax.Array | None = None,
        train: bool = False,
        embedded: jax.Array | None = None,
        twice_differentiable: bool = False,
    ) -> jax.Array:
        """Scores sentences under given codes.

        Args:
          zk: [..., B, Z]; leading axes are samples, and share all work that is the words' alone.
            In training there are none.
          tokens: [B, L].
          lengths: [B].
          keys: [B], of both kinds of dropout; the pass's own. None where `train` is not set.
          where: [B] valid rows, the nll of others is 0; all if None.
          train: dropout and word dropout on.
          embedded: [B, T, E], the embedded inputs where they are at hand.
          twice_differentiable: the output layer takes padding along, as the way around it has a
            first derivative alone.

        Returns:
          [..., B] NLL of each sentence, nats, `<eos>` counted.
        """
        embedded, dropout = self._inputs("decoder", tokens, embedded, keys if train else None)
        outputs = self.decoder(zk, embedded, dropout=dropout)
        if train and self.dropout:
            outputs = self._dropped(_PassKeys.of(keys).outputs, outputs)
        targets = jnp.broadcast_to(eos_targets(tokens, lengths), outputs.shape[:-1])
        counted = sequence_mask(lengths.astype(jnp.int32) + 1, outputs.shape[-2])
        if where is not None:  # all counted tokens then weigh alike: the fast gradient holds
            counted = counted & where[:, None]
        counted = jnp.broadcast_to(counted, targets.shape)
        if not twice_differentiable:
            return self.output_layer.nll(outputs, self.embedding, targets, counted).sum(-1)
        nll = self.output_layer.nll(outputs, self.embedding, targets)
        return jnp.where(counted, nll, 0).sum(-1)

    def flow_forward(self, z0: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: z0 [..., Z]. Returns zk [..., Z] and the summed log-det [...]."""
        points, log_dets = self._trajectory(z0)
        return points[-1], log_dets.sum(0)

    def flow_inverse(self, zk: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: zk [..., Z]. Returns z0 [..., Z] and log|det ∂z0/∂zk| [...]."""
        if not self.latent_dim:
            return zk, jnp.zeros(zk.shape[:-1], zk.dtype)
        return self.flow_stack.inverse(zk)

    def token_logits(self, zk: jax.Array, tokens: jax.Array, positions: jax.Array) -> jax.Array:
        """What is predicted at some positions, teacher-forced, without dropout.

        Args: zk [B, Z]; tokens [B, L]; positions [N] of the B·T. Returns logits [N, V].
        """
        outputs = self.decoder(zk, self._embedded(bos_inputs(tokens)))
        outputs = outputs.reshape(-1, outputs.shape[-1])[positions]
        return self.output_layer.logits(outputs, self.embedding)

    def output_operands(self, zk: jax.Array, tokens: jax.Array) -> tuple[jax.Array, ...]:
        """What makes the logits at every position, teacher-forced, without dropout.

        Args: zk [..., B, Z]; tokens [B, L]. Returns features [..., B, T, F], kernel [F, V] and bias
        [V], of which the logits are features·kernel + bias.
        """
        outputs = self.decoder(zk, self._embedded(bos_inputs(tokens)))
        features, kernel = self.output_layer.operands(outputs, self.embedding)
        return features, kernel, self.output_layer.bias

    def state_features(self, zk: jax.Array) -> jax.Array:
        """Args: zk [B, Z]. Returns the decoder's initial state [B, F], where it has one."""
        return self.decoder.state_features(zk)

    def start(self, zk: jax.Array, max_length: int) -> Carry:
        """Args: zk [B, Z]; the most steps that follow. Returns the carry before `<bos>`."""
        return self.decoder.start(zk, max_length)

    def decode_step(self, carry: Carry, token: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """Args: carry; token [B], the last one; zk [B, Z]. Returns carry and logits [B, V]."""
        carry, output = self.decoder.step(carry, self._embedded(token), zk)
        return carry, self.output_layer.logits(output, self.embedding)

    def _dropped(self, keys: jax.Array, x: jax.Array) -> jax.Array:
        return example_dropout(keys, x, rate=self.dropout, locked=self.locked_dropout)

    def _inputs(
        self, part: str, tokens: jax.Array, embedded: jax.Array | None, keys: jax.Array | None
    ) -> tuple[jax.Array, Callable[[jax.Array, int], jax.Array] | None]:
        """A part's embedded inputs and, with the pass's keys, what drops its layers' entries."""
        inputs = bos_inputs(tokens)
        table = self.encoder_embedding if part == "encoder" else self.embedding
        if keys is None:
            return table[inputs].astype(self.dtype) if embedded is None else embedded, None
        _, encoder_keys, words, keys, _ = _PassKeys.of(keys)
        rate = self.word_dropout
        if part == "encoder":
            keys, rate = encoder_keys, self.encoder_word_dropout
            words = jax.vmap(jax.random.fold_in, (0, None))(words, 0)
        if rate:
            inputs, embedded = word_dropout(words, inputs, rate=rate), None
        if embedded is None:
            embedded = table[inputs].astype(self.dtype)
        if self.embedding_dropout:
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, 0)
            embedded = embedding_dropout(own, embedded, inputs, rate=self.embedding_dropout)
        if not self.dropout:
            return embedded, None
        return self._dropped(keys, embedded), self._layer_dropout(keys)

    def _layer_dropout(self, keys: jax.Array) -> Callable[[jax.Array, int], jax.Array]:
        """Drops entries of a layer's output [B, ...], by keys [B] and the layer's number."""

        def dropped(x: jax.Array, place: int) -> jax.Array:
            # The keys themselves have dropped the part's inputs.
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, place + 1)
            return self._dropped(own, x)

        return dropped

    def _embedded(self, inputs: jax.Array) -> jax.Array:
        return self.embedding[inputs].astype(self.dtype)

    def _trajectory(self, z0: jax.Array) -> tuple[jax.Array, jax.Array]:
        if not self.latent_dim:
            return z0[None], jnp.zeros((0, *z0.shape[:-1]), z0.dtype)
        return self.flow_stack.trajectory(z0)


def initial_variables(model: TextAutoencoder, rng: jax.Array) -> dict[str, dict]:
    """Returns the parameters, drawn from `rng`, and, where there are any, the batch statistics."""
    return _initial_variables(model.clone(axis_name=None), rng)


@partial(jax.jit, static_argnums=0)
def _initial_variables(model: TextAutoencoder, rng: jax.Array) -> dict[str, dict]:
    tokens, lengths = jnp.zeros((2, 4), jnp.int32), jnp.full((2,), 4)
    keys = jax.random.split(rng, 2)
    return model.init(rng, tokens, lengths, keys, where=jnp.ones(2, bool), train=True)


# Fields that do not come from the section `model` of a configuration.
_GIVEN = ("vocab_size", "encoder_choice", "posterior_choice", "decoder_choice", "axis_name")
CHOICES = ("encoder", "posterior", "decoder")  # sections of a configuration, each of one part
NOT_CONFIGURED = (*_GIVEN, "parent", "name")


def text_autoencoder(
    config: Mapping[str, Any], *, vocab_size: int, axis_name: str | None = None
) -> TextAutoencoder:
    """The model that a configuration describes.

    Args:
      config: its sections `model`, `encoder`, `posterior` and `decoder`, among others.
      vocab_size: V.
      axis_name: mapped axis of the batch, or None.

    Raises:
      TypeError: it has a key that is none of the model's, or lacks one.
    """
    choices = {f"{name}_choice": Choice.of(config[name]) for name in CHOICES}
    return TextAutoencoder(vocab_size=vocab_size, axis_name=axis_name, **choices, **config["model"])
