"""Encoders by name: modules that summarise a sentence, one file each.

An encoder has `summary_dim`, F, and maps embedded tokens [B, T, E] and the numbers of valid steps
[B], at least 1, to a summary [B, F] that padding does not change.
"""

from wae_rnf_jax.models.encoders.lstm import LSTMEncoder

ENCODERS = {"lstm": LSTMEncoder}
