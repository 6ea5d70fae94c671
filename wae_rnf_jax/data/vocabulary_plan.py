"""How a corpus comes by its tokenizer and its vocabulary: named, given as files, or trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wae_rnf_jax.data.pieces import Pieces, trained_pieces
from wae_rnf_jax.data.shards import Shard
from wae_rnf_jax.data.special_words import SPECIAL_WORDS
from wae_rnf_jax.data.tokenizers import (
    TOKENIZERS,
    WHITESPACE,
    Tokenizer,
    loaded_tokenizer,
    named_tokenizer,
)
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.object_store import cached_file, is_remote

__all__ = ["VocabularyPlan", "is_tokenizer", "vocabulary_plan"]

_MOST_PARTS = 16  # of the training split, evenly spread, that pieces are trained on

# The words of parts of a split as a tokenizer makes them, each with how often it stands there.
WordCounts = Callable[[Sequence[Shard], Tokenizer], Mapping[str, int]]


@dataclass(frozen=True)
class VocabularyPlan:
    """What is known of a corpus's vocabulary before its text is read.

    Attributes:
      key: what decides it beside the text, as JSON takes it.
      tokenizer: what makes words of text; None where it is to be trained.
      vocabulary: where it is given.
      training: arguments of `trained_pieces`.
      limits: arguments of `Vocabulary.from_counts`.
    """

    key: Mapping[str, object]
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary | None
    training: Mapping[str, object]
    limits: Mapping[str, int]

    def carried_out(self, shards: Sequence[Shard], word_counts: WordCounts) -> Vocabulary:
        """The vocabulary.

        Args:
          shards: the parts of the training split.
          word_counts: counts the words of some of them.

        Returns:
          The vocabulary, with its tokenizer.

        Raises:
          InputError: if a sentence is bad, or no word is left.
        """
        if self.vocabulary is not None:
            return self.vocabulary
        tokenizer = self.tokenizer
        if tokenizer is None:
            some = shards[:: -(-len(shards) // _MOST_PARTS)]
            tokenizer = trained_pieces(counts=word_counts(some, WHITESPACE), **self.training)
        if isinstance(tokenizer, Pieces):
            return Vocabulary.of_pieces(tokenizer)
        counts = word_counts(shards, tokenizer)
        vocabulary = Vocabulary.from_counts(counts, tokenizer=tokenizer, **self.limits)
        if vocabulary.size == len(SPECIAL_WORDS) and counts:
            raise InputError(
                f"the vocabulary is empty: no word except <unk> occurs "
                f"{self.limits['min_count']} times in the training split"
            )
        return vocabulary


def is_tokenizer(name: str) -> bool:
    """Whether a name is that of a tokenizer, or of a file that may hold one."""
    return name in TOKENIZERS or name.endswith(".json")


def vocabulary_plan(
    *,
    tokenizer: str = "whitespace",
    vocab_size: int = 8_000,
    lower_case: bool = False,
    nfc: bool = False,
    min_count: int = 1,
    max_size: int = 0,
    vocabulary: str = "",
    cache: Path,
) -> VocabularyPlan:
    """Checks what is asked for, and reads the files that are named.

    Args:
      tokenizer: one of `TOKENIZERS`, or a tokenizer.json, here or in an object store.
      vocab_size: for "bpe" and "unigram" how many tokens, specials included.
      lower_case: whether text is read in lower case.
      nfc: whether it is read in Unicode's composed form, NFC.
      min_count: words seen less often in the training split become ``<unk>``.
      max_size: largest vocabulary, specials included; 0 for no limit.
      vocabulary: file of a vocabulary to take as it is, here or in an object store.
      cache: local folder for copies of what is in a store.

    Returns:
      The plan.

    Raises:
      InputError: if settings do not go together, or a file cannot be read.
    """
    if not is_tokenizer(tokenizer):
        raise InputError(
            f"there is no tokenizer {tokenizer!r}: it must be one of {', '.join(TOKENIZERS)}, or a "
            ".json file"
        )
    limits = {"min_count": min_count, "max_size": max_size}
    form = {"lower_case": lower_case, "nfc": nfc}
    chosen, given, key = named_tokenizer(tokenizer, **form), None, dict(limits)
    if tokenizer not in TOKENIZERS:
        if lower_case or nfc:
            raise InputError(
                f"{tokenizer} normalizes the text itself: lower_case and nfc must be False"
            )
        chosen = loaded_tokenizer(_local_file(tokenizer, cache))
    if chosen is None or isinstance(chosen, Pieces):
        _check_limits(limits, f"tokenizer {tokenizer}")
        if vocabulary:
            raise InputError(f"tokenizer {tokenizer} has its own vocabulary: do not name another")
    if vocabulary:
        _check_limits(limits, vocabulary)
        given = Vocabulary.load(_local_file(vocabulary, cache), chosen)
        key["vocabulary"] = _digest("\n".join(given.words))
    training = {"kind": tokenizer, "vocab_size": vocab_size, **form}
    if chosen != WHITESPACE:
        key["tokenizer"] = training if chosen is None else _digest(chosen.content())
    return VocabularyPlan(key, chosen, given, training, limits)


def _check_limits(limits: Mapping[str, int], owner: str) -> None:
    if limits != {"min_count": 1, "max_size": 0}:
        raise InputError(
            f"the vocabulary comes from {owner}: min_count must be 1 and max_size 0, not "
            f"{limits['min_count']} and {limits['max_size']}"
        )


def _local_file(path: str, cache: Path) -> Path:
    return cached_file(path, cache) if is_remote(path) else Path(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
