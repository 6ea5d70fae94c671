"""Tokens that are pieces of words, by the tokenizers library: trained here, or given as a file.

What is trained here works on bytes, as GPT-2's does, so that no character is unknown to it and no
text is changed; pieces do not reach from one word into the next.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from wae_rnf_jax.data.special_words import END, SPECIAL_WORDS, UNKNOWN_WORD
from wae_rnf_jax.errors import InputError

if TYPE_CHECKING:
    import tokenizers

__all__ = ["LEAST_PIECES", "TRAINED", "Pieces", "trained_pieces"]

TRAINED = ("bpe", "unigram")
LEAST_PIECES = len(SPECIAL_WORDS) + 256 + 1  # every byte is one
_MOST_WORDS = 1 << 22  # occurrences that a training reads
_MOST_REMEMBERED = 1 << 20  # words
_NOT_A_PIECE = "\ufffd"


class _Library(NamedTuple):
    """A tokenizer of the library, ready for use.

    Attributes:
      backend: what it is there.
      names: for each of its ids, the token; None for what is unknown.
      pieces: from tokens to what the library calls them.
      by_word: whether the tokens of a sentence are those of its words.
      known: the tokens of words that were asked for before, where that is so.
    """

    backend: tokenizers.Tokenizer
    names: list[str | None]
    pieces: dict[str, str]
    by_word: bool
    known: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Pieces:
    """A tokenizer of the tokenizers library; its special tokens are not added.

    Attributes:
      json: as the library writes it.
    """

    json: str

    def __post_init__(self) -> None:
        """Raises what the library raises where it is no tokenizer."""
        _library(self.json)

    @property
    def by_word(self) -> bool:
        """As `tokenizers.Tokenizer` says."""
        return _library(self.json).by_word

    def tokens(self, words: Sequence[str]) -> list[str]:
        """As `tokenizers.Tokenizer` says."""
        library = _library(self.json)
        known = library.known if library.by_word else {}
        if len(known) > _MOST_REMEMBERED:
            known.clear()
        known |= {END: (END,), UNKNOWN_WORD: (UNKNOWN_WORD,)}
        parts = words if library.by_word else _segments(words)
        if new := list(dict.fromkeys(part for part in parts if part not in known)):
            known.update(zip(new, _encoded(library, new), strict=True))
        return list(itertools.chain.from_iterable(map(known.__getitem__, parts)))

    def text(self, tokens: Iterable[str]) -> str:
        """As `tokenizers.Tokenizer` says."""
        library, parts = _library(self.json), []
        for unknown, some in itertools.groupby(tokens, UNKNOWN_WORD.__eq__):
            names = [library.pieces.get(token, token) for token in some]
            decoder = library.backend.decoder
            decoded = decoder.decode(names) if decoder and not unknown else " ".join(names)
            parts += decoded.split()
        return " ".join(parts)

    def content(self) -> str:
        """As `tokenizers.Tokenizer` says."""
        return self.json

    def kind(self) -> str:
        """What the library calls its model, in lower case."""
        return json.loads(self.json)["model"]["type"].lower()

    def words(self) -> tuple[str, ...]:
        """Every token there is, in the order of the library's ids, special words left out."""
        return tuple(name for name in _library(self.json).names if name is not None)


@lru_cache(maxsize=4)
def _library(content: str) -> _Library:
    import tokenizers

    backend, settings = tokenizers.Tokenizer.from_str(content), json.loads(content)
    backend.no_truncation()
    backend.no_padding()
    by_id = {number: name for name, number in backend.get_vocab().items()}
    names = [by_id.get(number) for number in range(max(by_id, default=-1) + 1)]
    unknown = {*SPECIAL_WORDS, "", _unknown_piece(settings["model"])}
    escaped = [None if name in unknown else name and _escaped(name) for name in names]
    pieces = {ours: theirs for ours, theirs in zip(escaped, names, strict=True) if ours != theirs}
    pieces.pop(None, None)
    first = settings.get("pre_tokenizer") or {}
    by_word = first.get("type") == "ByteLevel" and first["add_prefix_space"] and first["use_regex"]
    return _Library(backend, escaped, pieces, bool(by_word), {})


def _unknown_piece(model: Mapping) -> str | None:
    number = model.get("unk_id")
    return model.get("unk_token") if number is None else model["vocab"][number][0]


def _escaped(name: str) -> str:
    """A token without white space, which a line of a vocabulary's file cannot hold."""
    return "".join(f"\\u{ord(char):04x}" if char.isspace() else char for char in name)


def _segments(words: Sequence[str]) -> list[str]:
    """Words as sentences, or what of them stands between special words, which are by themselves."""
    parts = []
    for special, some in itertools.groupby(words, (END, UNKNOWN_WORD).__contains__):
        group = list(some)
        parts += group if special else [" ".join(group)]
    return parts


def _encoded(library: _Library, texts: Sequence[str]) -> list[tuple[str, ...]]:
    """The tokens of texts; in place of what is unknown, the characters that it stands for."""
    found = library.backend.encode_batch(texts, add_special_tokens=False)
    result = []
    for text, encoding in zip(texts, found, strict=True):
        names = [library.names[number] for number in encoding.ids]
        if None in names:
            names = [
                _surface(text[begin:end]) if name is None else name
                for name, (begin, end) in zip(names, encoding.offsets, strict=True)
            ]
        result.append(tuple(names))
    return result


def _surface(text: str) -> str:
    """What is unknown, as a token that no vocabulary has by another meaning."""
    text = text.strip()
    return _NOT_A_PIECE if text in SPECIAL_WORDS or text.split() != [text] else text


def trained_pieces(
    *, kind: str, counts: Mapping[str, int], vocab_size: int, lower_case: bool, nfc: bool
) -> Pieces:
    """Trains a tokenizer on words.

    Args:
      kind: "bpe" or "unigram".
      counts: how often each word stands in the text; where all together are many millions, each
        counts for its share of so many.
      vocab_size: tokens at most, the four special words included.
      lower_case: whether text is read in lower case.
      nfc: whether it is read in Unicode's composed form, NFC.

    Returns:
      The tokenizer; the same for the same counts in whatever order.

    Raises:
      InputError: if there are too few tokens for the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if vocab_size < LEAST_PIECES:
        raise InputError(
            f"vocab_size must be at least {LEAST_PIECES}, since every byte and "
            f"{len(SPECIAL_WORDS)} special words are tokens, not {vocab_size}"
        )
    settings = {
        "vocab_size": vocab_size - len(SPECIAL_WORDS),
        "initial_alphabet": sorted(pre_tokenizers.ByteLevel.alphabet()),
        "show_progress": False,
    }
    bpe = kind == "bpe"
    trainer = (trainers.BpeTrainer if bpe else trainers.UnigramTrainer)(**settings)
    backend = Tokenizer(models.BPE() if bpe else models.Unigram())
    steps = [normalizers.Lowercase()] * lower_case + [normalizers.NFC()] * nfc
    if steps:
        backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    share = min(1.0, _MOST_WORDS / max(1, sum(counts.values())))
    repeated = (
        itertools.repeat(word, round(count * share))
        for word, count in sorted(counts.items())
        if word != UNKNOWN_WORD
    )
    backend.train_from_iterator(itertools.chain.from_iterable(repeated), trainer)
    content = json.loads(backend.to_str())
    if not bpe:
        content["model"]["vocab"] = _ordered(content["model"]["vocab"])
    return Pieces(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def _ordered(scores: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces and their scores without what the library's order of summing leaves in them.

    Bytes that the text lacks have the least score and a little more, in any order.
    """
    least = min(score for _, score in scores)
    rounded = [
        (piece, round(least if len(piece) == 1 and score < least + 0.03 else score, 6))
        for piece, score in scores
    ]
    return sorted(rounded, key=lambda pair: (-pair[1], pair[0]))
