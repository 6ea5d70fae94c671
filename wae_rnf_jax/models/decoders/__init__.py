"""Decoders by name: modules that predict each next token from the code and the tokens before it."""

from typing import Any, Protocol

import jax

from wae_rnf_jax.models.decoders.dilated_cnn import DilatedCNN
from wae_rnf_jax.models.decoders.lstm import LSTMDecoder
from wae_rnf_jax.models.decoders.transformer import TransformerDecoder

Carry = Any  # a pytree whose leaves are all [B, ...]


class Decoder(Protocol):
    """What a decoder is: outputs [..., H] of every position, which the output layer reads.

    Shapes: B sentences, T positions, E embedding, H hidden, Z latent; Z = 0 is a language model.
    A decoder whose codes set an initial state also has `state_features(zk)`, that state [B, F].
    """

    def start(self, zk: jax.Array, max_length: int) -> Carry:
        """The carry before `<bos>`: zk [B, Z]; at most `max_length` steps follow.

        Every row of it has its own position, so that a place whose sentence has ended can be given
        to another sentence.
        """

    def step(self, carry: Carry, embedded: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """One position: embedded token [B, E], zk [B, Z]. Returns the carry and output [B, H]."""

    def __call__(self, zk: jax.Array, embedded: jax.Array, *, dropout: Any = None) -> jax.Array:
        """All positions at once: zk [..., B, Z], embedded [B, T, E]. Returns [..., B, T, H].

        Leading axes are several codes of the same sentences, and share the work that is the words'
        alone. `dropout`, for decoders with layers to drop, is a function of one array [B, ...] and
        the number of its place in the decoder that drops entries of it; None drops none.
        """


DECODERS = {
    "lstm": LSTMDecoder,
    "dilated_cnn": DilatedCNN,
    "transformer": TransformerDecoder,
}
