"""The sentences of a trained model's splits, with their labels, as text."""

from typing import NamedTuple

import numpy as np

from wae_rnf_jax.data.corpora import cached_corpus
from wae_rnf_jax.data.text import SPLITS
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.trained_model import TrainedModel


class Split(NamedTuple):
    """Sentences of a split.

    Attributes:
      sentences: N texts, as the model reads them.
      labels: the name of each one's label, or None where the corpus has no labels.
    """

    sentences: list[str]
    labels: list[str] | None


def token_split(trained: TrainedModel, name: str) -> TokenSplit:
    """The sentences of a split as word ids.

    Args:
      trained: a model.
      name: "train", "valid" or "test"; the first is read from the cache of prepared corpora, as
        the others of an exported model are.

    Returns:
      The split.

    Raises:
      InputError: there is no such split, or the cache no longer has it.
    """
    if name not in SPLITS:
        raise InputError(f"there is no split {name!r}: it must be one of {', '.join(SPLITS)}")
    own = getattr(trained.corpus, name)
    if own is not None:
        return own
    cache = trained.config["data"]["cache_dir"]
    corpus = cached_corpus(cache, trained.corpus.fingerprint)
    if corpus is None:
        raise InputError(
            f"the {name} split is not kept with the model, and {cache} no longer holds the text "
            "that it was trained on: prepare the same text again with `wae-rnf prepare`"
        )
    return getattr(corpus, name)


def random_rows(split: TokenSplit, count: int, *, seed: int) -> np.ndarray:
    """Numbers of at most so many sentences of a split, drawn at random, in the split's order."""
    return random_choice(np.arange(len(split)), count, seed=seed)


def random_choice(rows: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """At most so many of the numbers of sentences, drawn at random, in their order."""
    chosen = np.random.default_rng(seed).choice(len(rows), min(count, len(rows)), replace=False)
    return rows[np.sort(chosen)]


def split_text(trained: TrainedModel, name: str) -> Split:
    """The sentences of a split, and their labels where it has any.

    Args:
      trained: a model.
      name: "train", "valid" or "test".

    Returns:
      The sentences, in the split's order.

    Raises:
      InputError: as `token_split`.
    """
    split, decode = token_split(trained, name), trained.vocabulary.decode
    labels = None
    if split.labels is not None:
        labels = [trained.corpus.labels[number] for number in split.labels.tolist()]
    return Split([decode(split.sentence(row).tolist()) for row in range(len(split))], labels)
