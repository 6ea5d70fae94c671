"""Words, which are what a tokenizer makes of text, and their ids.

The four special ids come first; after them the words of the training split by falling frequency,
ties by first appearance, so that one text always gives one vocabulary; or the pieces that a
tokenizer was trained to, in its order.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wae_rnf_jax.data.pieces import Pieces
from wae_rnf_jax.data.special_words import (
    END,
    RESERVED_WORDS,
    SPECIAL_WORDS,
    UNKNOWN_WORD,
    first_reserved_word,
)
from wae_rnf_jax.data.tokenizers import WHITESPACE, Tokenizer, loaded_tokenizer
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

__all__ = [
    "RESERVED_WORDS",
    "SPECIAL_WORDS",
    "TOKENIZER",
    "UNKNOWN_WORD",
    "VOCABULARY",
    "Vocabulary",
    "first_reserved_word",
]

# What the files of a corpus are called.
VOCABULARY = "vocabulary.txt"
TOKENIZER = "tokenizer.json"  # only where it is not the default


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
      tokenizer: what makes words of a sentence, and a sentence of words.
    """

    words: tuple[str, ...]
    tokenizer: Tokenizer = WHITESPACE
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
                raise ValueError(f"word {position}, {word!r}, is empty or contains white space")
            if word in ids:
                raise ValueError(f"word {position}, {word!r}, appears twice")
            ids[word] = position
        object.__setattr__(self, "_ids", ids)

    @property
    def size(self) -> int:
        """V, the number of ids, specials included."""
        return len(self.words)

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        *,
        min_count: int = 1,
        max_size: int = 0,
        tokenizer: Tokenizer = WHITESPACE,
    ) -> Vocabulary:
        """Vocabulary of the words counted in a training text.

        Args:
          counts: occurrences of each word, in order of first appearance.
          min_count: words seen less often are left out (they become ``<unk>``).
          max_size: largest V, specials included; 0 for no limit.
          tokenizer: what made these words.

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
            raise InputError(f"the text contains the word {reserved}, which is reserved")
        kept = [
            (word, count)
            for word, count in counts.items()
            if count >= min_count and word != UNKNOWN_WORD
        ]
        # sorted() is stable, so ties stay in order of first appearance.
        kept = sorted(kept, key=lambda item: -item[1])
        words = SPECIAL_WORDS + tuple(word for word, _ in kept)
        return cls(words[:max_size] if max_size else words, tokenizer)

    @classmethod
    def of_pieces(cls, tokenizer: Pieces) -> Vocabulary:
        """All that a tokenizer makes of text, in its own order.

        Args:
          tokenizer: of the tokenizers library.

        Returns:
          The vocabulary.
        """
        return cls((*SPECIAL_WORDS, *tokenizer.words()), tokenizer)

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
          sentence: text.

        Returns:
          One id for each word; neither ``<bos>`` nor ``<eos>`` is added.

        Raises:
          InputError: if the sentence holds a reserved word.
        """
        reserved = first_reserved_word(sentence.split())
        if reserved is not None:
            raise InputError(f"the sentence {sentence!r} contains the reserved word {reserved}")
        ids = self._ids
        return [ids.get(word, UNK_ID) for word in self._words_of(sentence)]

    def _words_of(self, sentence: str) -> list[str]:
        return self.tokenizer.tokens([*sentence.split(), END])[:-1]

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
          sentence: text.

        Returns:
          The words, in their order, as readable text.
        """
        unknown = (word for word in self._words_of(sentence) if word not in self._ids)
        return tuple(self.tokenizer.text([word]) for word in unknown)

    def decode(self, ids: Iterable[int]) -> str:
        """Sentence of ``ids``, ended by the first ``<eos>``; ``<pad>`` and ``<bos>`` are dropped.

        Args:
          ids: integers in 0 … V−1.

        Returns:
          The text, with single blanks.
        """
        words = []
        for word_id in ids:
            if word_id == EOS_ID:
                break
            if word_id not in (PAD_ID, BOS_ID):
                words.append(self.words[int(word_id)])
        return self.tokenizer.text(words)

    def write_to(self, directory: Path) -> None:
        """Writes the vocabulary and, unless it is the default, the tokenizer as files of a corpus.

        Args:
          directory: folder of the corpus.
        """
        self.save(directory / VOCABULARY)
        if self.tokenizer != WHITESPACE:
            (directory / TOKENIZER).write_bytes(self.tokenizer.content().encode())

    @classmethod
    def read_from(cls, directory: Path) -> Vocabulary:
        """Reads what `write_to` wrote.

        Args:
          directory: folder of the corpus.

        Returns:
          The vocabulary.

        Raises:
          InputError: as `load` and `loaded_tokenizer`.
        """
        file = directory / TOKENIZER
        tokenizer = loaded_tokenizer(file) if file.exists() else WHITESPACE
        return cls.load(directory / VOCABULARY, tokenizer)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one word a line, UTF-8, in the order of the ids.

        Args:
          path: file to write.
        """
        Path(path).write_bytes("".join(f"{word}\n" for word in self.words).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str], tokenizer: Tokenizer = WHITESPACE) -> Vocabulary:
        """Reads what `save` wrote.

        Args:
          path: file to read.
          tokenizer: whose words these are.

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
                raise InputError(f"{path}:{number}: {word!r} is already on line {words[word]}")
            words[word] = number
        if len(words) < len(SPECIAL_WORDS):
            raise InputError(f"{path}: a vocabulary must begin with {', '.join(SPECIAL_WORDS)}")
        return cls(tuple(words), tokenizer)


def _checked_word(line: bytes, where: str) -> str:
    try:
        word = line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8") from error
    if word.split() != [word]:
        raise InputError(f"{where}: expected one word, found {word!r}")
    return word
