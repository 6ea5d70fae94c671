"""Encoders by name: modules that summarize a sentence, one file each."""

from typing import Any, Protocol

import jax

from wae_rnf_jax.models.encoders.bilstm import BidirectionalLSTMEncoder
from wae_rnf_jax.models.encoders.lstm import LSTMEncoder
from wae_rnf_jax.models.encoders.transformer import TransformerEncoder


class Encoder(Protocol):
    """What an encoder is: a summary [B, F] of sentences, which padding does not change."""

    summary_dim: int  # F

    def __call__(
        self, embedded: jax.Array, lengths: jax.Array, *, dropout: Any = None
    ) -> jax.Array:
        """Embedded tokens [B, T, E], numbers of valid steps [B], at least 1. Returns [B, F].

        `dropout`, for encoders with layers to drop, is a function of one array [B, ...] and the
        number of its place in the encoder that drops entries of it; None drops none.
        """


ENCODERS = {
    "lstm": LSTMEncoder,
    "bilstm": BidirectionalLSTMEncoder,
    "transformer": TransformerEncoder,
}
