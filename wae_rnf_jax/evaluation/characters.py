"""Likelihood by the character, by which models of different tokenizations can be compared."""

import hashlib
import math
from typing import NamedTuple

from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.evaluation.report import Metrics
from wae_rnf_jax.functional.special_ids import UNK_ID


class CharacterMetrics(NamedTuple):
    """What a split's text gives beside its tokens.

    Attributes:
      metrics: `bits_per_char` and `num_chars`, or `unk_share` where tokens do not give the text.
      text: digest of the text that was scored; empty where tokens do not give it.
    """

    metrics: Metrics
    text: str


def character_metrics(corpus: Corpus, split: str, *, nll: float) -> CharacterMetrics:
    """Bits per character of a split, where its tokens stand for all of its text.

    Args:
      corpus: the corpus.
      split: "valid" or "test".
      nll: mean negative log-likelihood of its sentences in nats.

    Returns:
      The metrics. The end of each line is a character; of sentences that are cut, what is left
      counts.
    """
    part = getattr(corpus, split)
    if _loses_something(corpus, split):
        return CharacterMetrics({"unk_share": part.occurrences(UNK_ID) / part.num_words}, "")
    num_chars, digest = 0, hashlib.sha256()
    for row in range(len(part)):
        line = corpus.vocabulary.decode(part.sentence(row).tolist()) + "\n"
        num_chars += len(line)
        digest.update(line.encode())
    bits = nll * len(part) / math.log(2) / num_chars
    return CharacterMetrics(
        {"bits_per_char": bits, "num_chars": num_chars}, digest.hexdigest()[:16]
    )


def _loses_something(corpus: Corpus, split: str) -> bool:
    if corpus.unknown is None or corpus.altered is None:  # of an earlier version, by white space
        return getattr(corpus, split).occurrences(UNK_ID) > 0
    return corpus.unknown[split] > 0 or corpus.altered[split] > 0
