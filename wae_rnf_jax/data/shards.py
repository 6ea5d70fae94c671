"""Parts of a split that can be read, counted and encoded each by itself.

Where the parts begin and end depends on the data alone, not on who reads them, so that any number
of processes makes the same corpus. Work goes by blocks of about a megabyte: one call of C code then
does for thousands of sentences what would take Python a call a word.

Shapes: W words of a block, its ends of sentences among them; S sentences.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from wae_rnf_jax.data.special_words import END, RESERVED_WORDS
from wae_rnf_jax.data.text import Record, parsed_line, plain_lines
from wae_rnf_jax.errors import InputError

__all__ = [
    "END",
    "Block",
    "RecordShard",
    "Shard",
    "Source",
    "TextShard",
    "record_blocks",
    "sentence_ends",
    "text_shards",
]

SHARD_BYTES = 1 << 24
_BLOCK_BYTES = 1 << 20
_BLOCK_RECORDS = 4096
_RESERVED = tuple(word.encode() for word in RESERVED_WORDS)


class Block(NamedTuple):
    """Some sentences, one after the other, empty ones included.

    Attributes:
      words: those of all sentences, `END` after each, [W].
      labels: of each sentence, [S], or None where there are none.
      log_probs: of each sentence in nats, [S], or None where they are not known.
    """

    words: list[str]
    labels: list[str] | None = None
    log_probs: list[float] | None = None


def sentence_ends(words: Sequence[str]) -> np.ndarray:
    """Which of a block's words are the ends of sentences.

    Args:
      words: of a block.

    Returns:
      bool [W].
    """
    return np.fromiter(map(END.__eq__, words), bool, len(words))


class Shard(Protocol):
    """A part of a split."""

    def blocks(self) -> Iterator[Block]:
        """Its sentences in order; InputError where one is bad, saying which."""


class Source(NamedTuple):
    """A source of sentences.

    Attributes:
      key: what decides its content, as JSON takes it.
      shards: the parts of each split, in order.
      notes: what is doubtful about its form, found when it is asked for; None where nothing about
        it is to be doubted.
    """

    key: dict[str, object]
    shards: Mapping[str, Sequence[Shard]]
    notes: Iterable[str] | None = ()


class RecordShard(NamedTuple):
    """Records that a function makes; it is called anew whenever they are read."""

    records: functools.partial

    def blocks(self) -> Iterator[Block]:
        """The records, block by block."""
        return record_blocks(self.records())


def record_blocks(records: Iterable[Record]) -> Iterator[Block]:
    """Records as blocks.

    Args:
      records: checked ones, all with the same fields.

    Yields:
      Blocks of a few thousand records.
    """
    records = iter(records)
    while some := list(itertools.islice(records, _BLOCK_RECORDS)):
        words = "".join(f"{record.text} {END} " for record in some).split()
        labels = None if some[0].label is None else [record.label for record in some]
        known = some[0].log_prob is not None
        yield Block(words, labels, [record.log_prob for record in some] if known else None)


def text_shards(file: Path, *, label: str) -> list[TextShard]:
    """Cuts a text into parts of equal size, each line going to the part in which it begins.

    Args:
      file: one sentence a line.
      label: "none", or "leading" where the first field of each line is its label.

    Returns:
      The parts, in order; one in which no line begins is empty.

    Raises:
      InputError: if the file cannot be read.
    """
    try:
        size = file.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    begins = range(0, size, SHARD_BYTES)
    return [TextShard(file, begin, min(begin + SHARD_BYTES, size), label) for begin in begins]


class TextShard(NamedTuple):
    """The lines of a text that begin in a range of its bytes.

    Attributes:
      file: the text.
      begin: first byte.
      end: the byte after the last.
      label: "none", or "leading" where the first field of each line is its label.
    """

    file: Path
    begin: int
    end: int
    label: str

    def blocks(self) -> Iterator[Block]:
        """The lines, block by block.

        Yields:
          Blocks of whole lines.

        Raises:
          InputError: naming file and line, if the text is not UTF-8, holds a NUL byte or a
            reserved word; or if the file cannot be read.
        """
        try:
            with self.file.open("rb") as stream:
                position = _line_start(stream, self.begin)
                while position < self.end and (lines := _lines(stream, self.end - position)):
                    words = self._words(lines, position)
                    position += len(lines)
                    if words:  # a byte-order mark by itself is no line
                        yield _labelled(words) if self.label == "leading" else Block(words)
        except OSError as error:
            raise InputError(f"cannot read {self.file}: {error.strerror}") from error

    def _words(self, lines: bytes, position: int) -> list[str]:
        """The words of whole lines that begin at a byte of the file, `END` after each line."""
        lines = plain_lines(lines)
        if not lines:
            return []
        try:
            text = lines.decode()
        except UnicodeDecodeError:
            text = ""
        # A reserved word may be but a part of another, which does no harm: the lines tell.
        if not text or b"\0" in lines or any(word in lines for word in _RESERVED):
            self._check(lines, position)
        return (text.removesuffix("\n") + "\n").replace("\n", f" {END} ").split()

    def _check(self, lines: bytes, position: int) -> None:
        """Raises InputError for the first bad line, if any."""
        first = 1 + _count_lines(self.file, position)
        for number, line in enumerate(io.BytesIO(lines), start=first):
            parsed_line(line, f"{self.file}:{number}", self.label)


def _line_start(stream: BinaryIO, position: int) -> int:
    """Goes to the first line that begins at a byte or after it; returns where that is."""
    if position == 0:
        return 0
    stream.seek(position - 1)
    return position - 1 + len(stream.readline())


def _lines(stream: BinaryIO, limit: int) -> bytes:
    """Whole lines, about a block of them, none of which begins after so many bytes."""
    lines = stream.read(min(limit, _BLOCK_BYTES))
    return lines if lines.endswith(b"\n") else lines + stream.readline()


def _count_lines(file: Path, end: int) -> int:
    """Lines that end before a byte of the file, at which one begins."""
    count = 0
    with file.open("rb") as stream:
        while end > 0 and (lines := _lines(stream, end)):
            count += plain_lines(lines).count(b"\n")
            end -= len(lines)
    return count


def _labelled(words: Sequence[str]) -> Block:
    """Takes the first word of each sentence as its label; an empty one has an empty label."""
    ends = sentence_ends(words)
    first = np.concatenate([[True], ends[:-1]])
    labels = ["" if word == END else word for word in itertools.compress(words, first)]
    return Block(list(itertools.compress(words, ends | ~first)), labels)
