"""Tokenizers: from words apart by white space to tokens, and from tokens to readable text.

A token is a string without white space, so that a vocabulary, its file and all that goes by words
are the same for every tokenizer. Sentences follow each other in one list, `END` after each.

The word ``<unk>`` of a text is the token ``<unk>`` to every tokenizer. `MARK` stands for a blank.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wae_rnf_jax.data.pieces import TRAINED, Pieces
from wae_rnf_jax.data.special_words import END, RESERVED_WORDS, UNKNOWN_WORD
from wae_rnf_jax.errors import InputError, first_line

__all__ = [
    "MARK",
    "TOKENIZERS",
    "WHITESPACE",
    "Characters",
    "Tokenizer",
    "Whitespace",
    "Words",
    "loaded_tokenizer",
    "named_tokenizer",
    "tokenizer_name",
]

MARK = "\N{LOWER ONE EIGHTH BLOCK}"
_MOST_REMEMBERED = 1 << 20  # words
# Numbers with their points, words with their apostrophes, runs of one mark, any other character.
_WORD = (
    r"\p{N}+(?:[.,]\p{N}+)+|[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}_]+)*"
    r"|\.+|-+|!+|\?+|=+|\*+|~+|[^\n]"
)
_CHARACTER = re.compile(rf"{UNKNOWN_WORD}|.", re.DOTALL)


@functools.cache
def _word_pattern():
    import regex  # which knows Unicode's categories

    return regex.compile(_WORD)


class Tokenizer(Protocol):
    """How text is cut into tokens; frozen, hashable, and equal where it does the same."""

    @property
    def by_word(self) -> bool:
        """Whether the tokens of a sentence are those of its words, one after the other."""

    def tokens(self, words: Sequence[str]) -> list[str]:
        """Tokens of sentences.

        Args:
          words: those of all sentences, apart by white space, `END` after each.

        Returns:
          The tokens of all sentences, `END` after each.
        """

    def text(self, tokens: Iterable[str]) -> str:
        """The sentence, with single blanks, that tokens stand for; `END` is not among them."""

    def content(self) -> str:
        """The tokenizer as JSON, from which `loaded_tokenizer` makes it."""


@dataclass(frozen=True)
class _WordByWord:
    """A tokenizer to which each word is a task of its own, done once.

    Attributes:
      lower_case: whether text is read in lower case.
      nfc: whether it is read in Unicode's composed form, NFC.
    """

    lower_case: bool = False
    nfc: bool = False
    _known: dict[str, tuple[str, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def by_word(self) -> bool:
        """As `Tokenizer`."""
        return True

    def tokens(self, words: Sequence[str]) -> list[str]:
        """As `Tokenizer`."""
        known = self._known
        if len(known) > _MOST_REMEMBERED:
            known.clear()
        for word in set(words):
            if word not in known:
                known[word] = (END,) if word == END else tuple(self._tokens_of(word))
        return list(itertools.chain.from_iterable(map(known.__getitem__, words)))

    def content(self) -> str:
        """As `Tokenizer`."""
        settings = {"lower_case": self.lower_case, "nfc": self.nfc}
        return json.dumps({"tokenizer": _NAMES[type(self)], **settings}, indent=2) + "\n"

    def normalized(self, text: str) -> str:
        """Text as the tokenizer reads it."""
        text = text.lower() if self.lower_case else text
        return unicodedata.normalize("NFC", text) if self.nfc else text

    def _tokens_of(self, word: str) -> Iterable[str]:
        raise NotImplementedError

    def __reduce__(self):
        return type(self), (self.lower_case, self.nfc)  # what is known is learned anew


@dataclass(frozen=True)
class Whitespace(_WordByWord):
    """What stands between white space is a token.

    >>> Whitespace().tokens(["The", "cat", END])
    ['The', 'cat', '<eos>']
    >>> Whitespace(lower_case=True).text(["the", "cat"])
    'the cat'
    """

    def tokens(self, words: Sequence[str]) -> list[str]:
        """As `Tokenizer`."""
        return super().tokens(words) if self.lower_case or self.nfc else list(words)

    def text(self, tokens: Iterable[str]) -> str:
        """As `Tokenizer`."""
        return " ".join(tokens)

    def _tokens_of(self, word: str) -> Iterable[str]:
        normalized = self.normalized(word)
        return (word if normalized in RESERVED_WORDS else normalized,)


@dataclass(frozen=True)
class Words(_WordByWord):
    """Words and punctuation are tokens; `MARK` begins those that a blank stands before.

    >>> Words().tokens(["Don't", "stop,", "please", END])
    ["▁Don't", '▁stop', ',', '▁please', '<eos>']
    >>> Words().text(["▁stop", ",", "<unk>", "!"])
    'stop, <unk>!'
    """

    def normalized(self, text: str) -> str:
        """Text as the tokenizer reads it."""
        return super().normalized(text).replace(MARK, "_")

    def text(self, tokens: Iterable[str]) -> str:
        """As `Tokenizer`."""
        joined = "".join(f" {token}" if token == UNKNOWN_WORD else token for token in tokens)
        return " ".join(joined.replace(MARK, " ").split())

    def _tokens_of(self, word: str) -> Iterable[str]:
        word = self.normalized(word)
        if word.startswith(UNKNOWN_WORD):  # as in "<unk>,", where `text` wrote it
            return UNKNOWN_WORD, *_word_pattern().findall(word.removeprefix(UNKNOWN_WORD))
        first, *rest = _word_pattern().findall(word)
        return MARK + first, *rest


@dataclass(frozen=True)
class Characters(_WordByWord):
    """Characters are tokens, `MARK` the one for a blank.

    >>> Characters().tokens(["a", "cat", END])
    ['a', '▁', 'c', 'a', 't', '<eos>']
    >>> Characters().text(["a", "▁", "c", "<unk>", "t"])
    'a c<unk>t'
    """

    def normalized(self, text: str) -> str:
        """Text as the tokenizer reads it."""
        return super().normalized(text).replace(MARK, "_")

    def tokens(self, words: Sequence[str]) -> list[str]:
        """As `Tokenizer`."""
        tokens = super().tokens(words)
        # A blank stands before each word but a sentence's first.
        return [
            token
            for before, token in itertools.pairwise(itertools.chain([END], tokens))
            if not (token == MARK and before == END)
        ]

    def text(self, tokens: Iterable[str]) -> str:
        """As `Tokenizer`."""
        return " ".join("".join(tokens).replace(MARK, " ").split())

    def _tokens_of(self, word: str) -> Iterable[str]:
        return MARK, *_CHARACTER.findall(self.normalized(word))


WHITESPACE = Whitespace()
_BY_NAME = {"whitespace": Whitespace, "words": Words, "char": Characters}
_NAMES = {kind: name for name, kind in _BY_NAME.items()}
TOKENIZERS = (*_BY_NAME, *TRAINED)  # by name; others are files


def named_tokenizer(name: str, *, lower_case: bool, nfc: bool) -> Tokenizer | None:
    """A tokenizer that needs no training; None for the others."""
    return _BY_NAME[name](lower_case, nfc) if name in _BY_NAME else None


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """What a tokenizer is called: one of `TOKENIZERS`, or its kind in the tokenizers library."""
    kind = type(tokenizer)
    return tokenizer.kind() if kind is Pieces else _NAMES[kind]


def loaded_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Reads a tokenizer from a file, of this program or of the tokenizers library.

    Args:
      path: JSON, as `Tokenizer.content` or the library's ``save`` writes it.

    Returns:
      The tokenizer.

    Raises:
      InputError: if the file is missing or no tokenizer; it names the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the tokenizer {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the tokenizer {path} is not UTF-8") from error
    try:
        settings = json.loads(text)
        if "tokenizer" not in settings:
            return Pieces(text)
        return _BY_NAME[settings.pop("tokenizer")](**settings)
    except Exception as error:  # the library's are of no class of their own
        raise InputError(
            f"{path} is not a tokenizer ({first_line(error)}): it must be a tokenizer.json of the "
            "tokenizers library or of a workdir's corpus"
        ) from error
