"""Plain text: a folder with ``train.txt``, ``valid.txt`` and ``test.txt``, one sentence a line."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from wae_rnf_jax.data.digests import file_digest
from wae_rnf_jax.data.special_words import first_reserved_word
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.files import home_expanded

__all__ = [
    "BYTE_ORDER_MARK",
    "LABELS",
    "SPLITS",
    "Record",
    "parsed_line",
    "plain_lines",
    "text_digest",
    "text_files",
    "text_records",
]

SPLITS = ("train", "valid", "test")
LABELS = ("none", "leading")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MARKED_LINE = re.compile(rb"(^|\n)" + BYTE_ORDER_MARK)


class Record(NamedTuple):
    """One sentence of a source.

    Attributes:
      text: words separated by white space; empty for a line without words.
      label: what the sentence is labelled with, or None.
      log_prob: its exact log-probability in nats where the source knows it, or None.
    """

    text: str
    label: str | None = None
    log_prob: float | None = None


def text_files(path: str) -> dict[str, Path]:
    """The three files of a text folder.

    Args:
      path: the folder.

    Returns:
      The file of each split.

    Raises:
      InputError: if the folder or a file is missing, or a file is empty.
    """
    folder = Path(home_expanded(path))
    if not path or not folder.is_dir():
        raise InputError(
            f"no folder {path!r}: the text source needs a folder with train.txt, valid.txt and "
            "test.txt, one sentence per line"
        )
    files = {split: folder / f"{split}.txt" for split in SPLITS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise InputError(
            f"{folder} has no {' and no '.join(missing)}: it needs train.txt, valid.txt and "
            "test.txt, one sentence per line"
        )
    for file in files.values():
        if file.stat().st_size == 0:
            raise InputError(f"{file} is empty: it must contain one sentence per line")
    return files


def text_digest(path: str, *, memory: Path) -> str:
    """SHA-256 over the contents of a text folder's three files, whatever their place or time.

    Args:
      path: the folder.
      memory: folder of digests, see `file_digest`.

    Returns:
      The digest in hexadecimal.

    Raises:
      InputError: as `text_files`, and if a file cannot be read.
    """
    digest = hashlib.sha256()
    for split, file in text_files(path).items():
        digest.update(f"{split} {file_digest(file, memory=memory)}\n".encode())
    return digest.hexdigest()


def text_records(source: Path | BinaryIO, *, label: str) -> Iterator[Record]:
    """The lines of one text; one without words gives an empty record, for the caller to count.

    Byte-order marks at the beginning of lines are left out. Lines end at a line feed, a carriage
    return or both, and nowhere else: rarer Unicode line separators are white space.

    Args:
      source: the file to read, or standard input.
      label: "none", or "leading" where the first field of each line is its label.

    Yields:
      One record a line.

    Raises:
      InputError: naming file and line, if the text is not UTF-8, holds a NUL byte or a reserved
        word.
    """
    is_file = isinstance(source, Path)
    name = source if is_file else "standard input"
    try:
        with source.open("rb") if is_file else contextlib.nullcontext(source) as stream:
            lines = (line for part in stream for line in io.BytesIO(plain_lines(part)))
            for number, line in enumerate(lines, start=1):
                yield parsed_line(line, f"{name}:{number}", label)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error


def plain_lines(lines: bytes) -> bytes:
    r"""Whole lines, each ended by a line feed alone and without a byte-order mark before it.

    >>> plain_lines(b"\xef\xbb\xbfa dog\r\nslept\rthe cat")
    b'a dog\nslept\nthe cat'
    """
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _MARKED_LINE.sub(rb"\1", lines) if BYTE_ORDER_MARK in lines else lines


def parsed_line(line: bytes, where: str, label: str) -> Record:
    """One line of a text.

    Args:
      line: its bytes, with or without their end.
      where: names the line in a message.
      label: "none" or "leading".

    Returns:
      The sentence.

    Raises:
      InputError: if the line is not UTF-8, or holds a NUL byte or a reserved word.
    """
    try:
        text = line.decode().strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8"
        ) from error
    if b"\0" in line:
        raise InputError(f"{where}: a NUL byte; the text must be plain UTF-8")
    words = text.split()
    reserved = first_reserved_word(words)
    if reserved is not None:
        raise InputError(f"{where}: the word {reserved} is reserved and may not appear in a text")
    if label == "none" or not words:
        return Record(text)
    return Record(text[len(words[0]) :].lstrip(), label=words[0])
