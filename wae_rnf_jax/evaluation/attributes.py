"""Directions of the latent space that labels give.

Letters: Z latent.
"""

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError, did_you_mean
from wae_rnf_jax.evaluation.latent_space import split_codes
from wae_rnf_jax.evaluation.splits import token_split
from wae_rnf_jax.runs.trained_model import TrainedModel


def label_difference(
    trained: TrainedModel, start: str, end: str, *, split: str = "valid"
) -> jax.Array:
    """The mean code of the sentences of one label, less that of another's.

    Args:
      trained: a model of labelled text.
      start: the label that is taken away.
      end: the label that is added.
      split: where the sentences are taken from.

    Returns:
      [1, Z], of codes zk, to be added to codes [N, Z].

    Raises:
      InputError: the text has no labels, a label is none of them or has no sentence in the split,
        or both are the same.
    """
    if not trained.corpus.labels:
        raise InputError("the run's training text has no labels to shift codes by")
    if start == end:
        raise InputError(f"both labels are {start!r}: name two different ones")
    sentences = token_split(trained, split)
    return _mean_code(trained, sentences, end, split) - _mean_code(trained, sentences, start, split)


def _mean_code(trained: TrainedModel, sentences: TokenSplit, label: str, split: str) -> jax.Array:
    labels = trained.corpus.labels
    if label not in labels:
        nearest = did_you_mean(label, labels)
        raise InputError(
            f"there is no label {label!r}: the labels are {', '.join(labels)}{nearest}"
        )
    rows = np.flatnonzero(np.asarray(sentences.labels) == labels.index(label))
    if not rows.size:
        raise InputError(f"no sentence of the {split} split has the label {label!r}")
    codes = split_codes(trained, sentences, rows.tolist())
    mean = np.asarray(codes).mean(axis=0, keepdims=True, dtype=np.float64)
    return jnp.asarray(mean, codes.dtype)
