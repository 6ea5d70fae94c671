"""Words and their ids.

The four special ids come first; after them the words of the training split by falling frequency,
ties by first appearance, so that one text always gives one vocabulary.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

__all__ = ["RESERVED_WORDS", "SPECIAL_WORDS", "UNKNOWN_WORD", "Vocabulary", "first_reserved_word"]

_SPECIALS = {PAD_ID: "<pad>", UNK_ID: "<unk>", BOS_ID: "<bos>", EOS_ID: "<eos>"}
SPECIAL_WORDS = tuple(_SPECIALS[i] for i in range(len(_SPECIALS)))
UNKNOWN_WORD = SPECIAL_WORDS[UNK_ID]
# A text may hold <unk>, which means the special; the other three mark structure and may not occur.
RESERVED_WORDS = frozenset(SPECIAL_WORDS) - {UNKNOWN_WORD}


def first_reserved_word(words: Sequence[str]) -> str | None:
    """First of ``words`` that no text may hold (``<pad>``, ``<bos>``, ``<eos>``), or None."""
    if RESERVED_WORDS.isdisjoint(words):
        return None
    return next(word for word in words if word in RESERVED_WORDS)


@dataclass(frozen=True)
class Vocabulary:
    """An immutable two-way map between V words and the ids 0 … V−1.

    >>> vocabulary = Vocabulary.from_sentences(["a cat saw a dog", "a dog slept"])
    >>> vocabulary.size
    9
    >>> vocabulary.encode("a bird slept")
    [4, 1, 8]
    >>> vocabulary.decode([4, 5, 8, 3, 0, 0])
    'a dog slept'

    Attributes:
      words: all V words in the order of their ids, the specials at 0 … 3.
    """

    words: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Checks the words and builds the inverse map.

        Raises:
          ValueError: if the specials are not first, or a word is repeated, empty or holds
            white space.
        """
        if self.words[: len(SPECIAL_WORDS)] != SPECIAL_WORDS:
            raise ValueError(f"a vocabulary must begin with {', '.join(SPECIAL_WORDS)}")
        ids: dict[str, int] = {}
        for position, word in enumerate(self.words):
            if word.split() != [word]:
                raise ValueError(f"word {position}, {word!r}, is empty or holds white space")
            if word in ids:
                raise ValueError(f"word {position}, {word!r}, stands there twice")
            ids[word] = position
        object.__setattr__(self, "_ids", ids)

    @property
    def size(self) -> int:
        """V, the number of ids, specials included."""
        return len(self.words)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, max_size: int = 0
    ) -> Vocabulary:
        """Vocabulary of the words counted in a training text.

        Args:
          counts: occurrences of each word, in order of first appearance.
          min_count: words seen less often are left out (they become ``<unk>``).
          max_size: largest V, specials included; 0 for no limit.

        Returns:
          The vocabulary.

        Raises:
          InputError: if the settings are out of range or a word is reserved.
        """
        if min_count < 1:
            raise InputError(f"min_count must be at least 1, not {min_count}")
        if max_size != 0 and max_size <= len(SPECIAL_WORDS):
            raise InputError(
                f"max_size must be 0 (no limit) or above {len(SPECIAL_WORDS)}, the number of "
                f"special words, not {max_size}"
            )
        reserved = first_reserved_word(tuple(counts))
        if reserved is not None:
            raise InputError(f"the text holds the word {reserved}, which is reserved")
        kept = [
            (word, count)
            for word, count in counts.items()
            if count >= min_count and word != UNKNOWN_WORD
        ]
        # sorted() is stable, so ties stay in order of first appearance.
        kept = sorted(kept, key=lambda item: -item[1])
        words = SPECIAL_WORDS + tuple(word for word, _ in kept)
        return cls(words[:max_size] if max_size else words)

    @classmethod
    def from_sentences(
        cls, sentences: Iterable[str], *, min_count: int = 1, max_size: int = 0
    ) -> Vocabulary:
        """Vocabulary of the words, split at white space, of ``sentences``.

        Args:
          sentences: the training text, one sentence each.
          min_count: words seen less often are left out.
          max_size: largest V, specials included; 0 for no limit.

        Returns:
          The vocabulary.
        """
        counts: Counter[str] = Counter()
        for sentence in sentences:
            counts.update(sentence.split())
        return cls.from_counts(counts, min_count=min_count, max_size=max_size)

    def encode(self, sentence: str) -> list[int]:
        """Ids of the words of ``sentence``; an unknown word has the id of ``<unk>``.

        Args:
          sentence: words separated by white space.

        Returns:
          One id for each word; neither ``<bos>`` nor ``<eos>`` is added.

        Raises:
          InputError: if the sentence holds a reserved word.
        """
        words = sentence.split()
        reserved = first_reserved_word(words)
        if reserved is not None:
            raise InputError(f"the sentence {sentence!r} holds the reserved word {reserved}")
        ids = self._ids
        return [ids.get(word, UNK_ID) for word in words]

    def ids(self, words: Sequence[str]) -> np.ndarray:
        """Ids of many words at once, the special ones among them.

        Args:
          words: of a text that is known to be sound.

        Returns:
          Their ids, int32; an unknown word has that of ``<unk>``.
        """
        found = map(self._ids.get, words, itertools.repeat(UNK_ID))
        return np.fromiter(found, np.int32, len(words))

    def unknown_words(self, sentence: str) -> tuple[str, ...]:
        """Words of ``sentence`` that are not in the vocabulary, which `encode` takes as ``<unk>``.

        Args:
          sentence: words separated by white space.

        Returns:
          The words, in their order.
        """
        return tuple(word for word in sentence.split() if word not in self._ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Sentence of ``ids``, ended by the first ``<eos>``; ``<pad>`` and ``<bos>`` are dropped.

        Args:
          ids: integers in 0 … V−1.

        Returns:
          The words, separated by one space each.
        """
        words = []
        for word_id in ids:
            if word_id == EOS_ID:
                break
            if word_id not in (PAD_ID, BOS_ID):
                words.append(self.words[int(word_id)])
        return " ".join(words)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one word a line, UTF-8, in the order of the ids.

        Args:
          path: file to write.
        """
        Path(path).write_bytes("".join(f"{word}\n" for word in self.words).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Reads what `save` wrote.

        Args:
          path: file to read.

        Returns:
          The vocabulary.

        Raises:
          InputError: if the file is missing, not UTF-8, or not one distinct word a line with
            the specials first; it names file and line.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read the vocabulary {path}: {error.strerror}") from error
        lines = data.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        words: dict[str, int] = {}
        for number, line in enumerate(lines, start=1):
            word = _checked_word(line, f"{path}:{number}")
            if number <= len(SPECIAL_WORDS) and word != SPECIAL_WORDS[number - 1]:
                raise InputError(
                    f"{path}:{number}: expected {SPECIAL_WORDS[number - 1]}, found {word!r}"
                )
            if word in words:
                raise InputError(f"{path}:{number}: {word!r} already stands in line {words[word]}")
            words[word] = number
        if len(words) < len(SPECIAL_WORDS):
            raise InputError(f"{path}: a vocabulary must begin with {', '.join(SPECIAL_WORDS)}")
        return cls(tuple(words))


def _checked_word(line: bytes, where: str) -> str:
    try:
        word = line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8") from error
    if word.split() != [word]:
        raise InputError(f"{where}: expected one word, found {word!r}")
    return word
