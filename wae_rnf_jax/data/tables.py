"""Tables with a sentence a row: CSV, tab-separated fields, JSON lines and Parquet, row by row.

A field is known by its name or its number, from 1. Where a field of a CSV or a tab-separated file
is asked for by name, the first row is the header; else every row is data.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wae_rnf_jax.data.special_words import first_reserved_word
from wae_rnf_jax.data.text import BYTE_ORDER_MARK
from wae_rnf_jax.errors import InputError, did_you_mean, first_line

__all__ = ["NO_LABEL", "TABLES", "Row", "is_table", "table_rows"]

NO_LABEL = "(none)"  # the label of a row whose field is empty
_MARK = BYTE_ORDER_MARK.decode()  # which is no part of a text that begins with it
_BATCH_ROWS = 1 << 10
_BUFFER_BYTES = 1 << 20


class Row(NamedTuple):
    """A sentence of a table.

    Attributes:
      text: its words, parted by single blanks; empty where there are none.
      label: in one word, or None where labels are not asked for.
      group: what it must stay together with, or None.
    """

    text: str
    label: str | None = None
    group: str | None = None


# Where a row stands, for messages, and the values that were asked for, in their order.
Record = tuple[str, Sequence[Any]]


def is_table(name: str) -> bool:
    """Whether a file's name is that of a table that can be read."""
    return _suffix(name) in TABLES


def _suffix(name: str) -> str:
    return Path(name.removesuffix(".gz")).suffix.lower()


def table_rows(
    file: Path, *, text_field: str, label_field: str = "", group_field: str = ""
) -> Iterator[Row]:
    """The rows of a table.

    Args:
      file: the table; what kind it is, its name tells.
      text_field: name or number of the field with the sentence.
      label_field: of the one with its label; empty for none.
      group_field: of the one whose equal values stay in one split; empty for none.

    Yields:
      One sentence a row; blanks in labels are written as ``_``.

    Raises:
      InputError: naming file and line, or row, if a row or a field is bad; or if the file cannot
        be read.
    """
    named = {"text_field": text_field, "label_field": label_field, "group_field": group_field}
    asked = [(key, field) for key, field in named.items() if field]
    try:
        for where, values in TABLES[_suffix(file.name)](file, asked):
            yield _row(where, dict(zip(dict(asked), values, strict=True)))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"cannot read {file}: {reason}") from error


def _row(where: str, values: Mapping[str, Any]) -> Row:
    text = values["text_field"]
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise InputError(f"{where}: the text field contains {text!r}, which is not text")
    words, label = text.lstrip(_MARK).split(), None
    if "label_field" in values:
        label = "_".join(_in_words(values["label_field"]).lstrip(_MARK).split()) or NO_LABEL
    reserved = first_reserved_word(words if label is None else [*words, label])
    if reserved is not None:
        raise InputError(f"{where}: the word {reserved} is reserved and may not appear in a text")
    if "\0" in text:
        raise InputError(f"{where}: a NUL character; the text must be plain text")
    row = Row(" ".join(words), label, _in_words(values.get("group_field")) or None)
    try:
        "".join(part or "" for part in row).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: half a character, {error.object[error.start]!a}, which text cut in the "
            "middle of a pair of surrogates ends in; remove it"
        ) from error
    return row


def _in_words(value: Any) -> str:
    """A value as CSV has it, so that one table is the same in every form."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _opened(file: Path) -> BinaryIO:
    return gzip.open(file) if file.name.endswith(".gz") else file.open("rb")


def _decoded_lines(file: Path) -> Iterator[str]:
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).decode()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{file}:{number}: not UTF-8 (byte {error.start + 1} of the line); convert the "
                    "file to UTF-8"
                ) from error


def _csv_records(file: Path, asked: Sequence[tuple[str, str]]) -> Iterator[Record]:
    reader = csv.reader(_decoded_lines(file), strict=True)
    rows = iter(lambda: (reader.line_num + 1, next(reader, None)), None)
    try:
        yield from _fields(file, asked, rows)
    except csv.Error as error:
        raise InputError(f"{file}:{reader.line_num}: invalid CSV: {first_line(error)}") from error


def _tab_records(file: Path, asked: Sequence[tuple[str, str]]) -> Iterator[Record]:
    """What stands between tabs as it is: quotes have no meaning."""
    lines = enumerate(_decoded_lines(file), start=1)
    rows = ((n, text.split("\t") if (text := line.rstrip("\r\n")) else []) for n, line in lines)
    yield from _fields(file, asked, rows)


def _fields(
    file: Path, asked: Sequence[tuple[str, str]], rows: Iterator[tuple[int, list[str] | None]]
) -> Iterator[Record]:
    """The fields asked for of numbered rows, all of which are as long as the first."""
    header = not all(field.isdecimal() for _, field in asked)
    places, length = None, 0
    for number, row in rows:
        if row is None:
            return
        where = f"{file}:{number}"
        if places is None:
            names, length = row if header else [], len(row)
            places = [_place(where, key, field, names, length) for key, field in asked]
            if header:
                continue
        if row and len(row) != length:
            raise InputError(f"{where}: {len(row)} fields, but the first row has {length}")
        yield where, [row[place] for place in places] if row else [None] * len(places)


def _place(where: str, key: str, field: str, names: Sequence[str], length: int) -> int:
    """Where a field stands, from 0, by its name or else its number."""
    if field in names:
        return list(names).index(field)
    if field.isdecimal() and 1 <= int(field) <= length:
        return int(field) - 1
    if names:
        known = f"its fields are {', '.join(names)}{did_you_mean(field, names)}"
    else:
        known = f"it has {length} fields"
    raise InputError(f"{where}: {key} is {field!r}, but there is no such field: {known}")


def _json_records(file: Path, asked: Sequence[tuple[str, str]]) -> Iterator[Record]:
    first: list[str] = []  # the keys of the first object
    for number, line in enumerate(_decoded_lines(file), start=1):
        where = f"{file}:{number}"
        if not line.strip():
            yield where, [None] * len(asked)
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where}: invalid JSON ({first_line(error)}): each line must be a JSON object or "
                "list"
            ) from error
        if not isinstance(values, dict | list):
            raise InputError(f"{where}: each line must be a JSON object or list")
        names = list(values) if isinstance(values, dict) else []
        first = first or names
        by_number = any(name.isdecimal() and name not in names for _, name in asked)
        if by_number and names and names != first:
            raise InputError(
                f"{where}: the keys {', '.join(names)} are not those of the first object, in their "
                "order, so that a number does not tell which field is meant: give its name"
            )
        content = list(values.values()) if names else list(values)
        yield where, [content[_place(where, key, name, names, len(content))] for key, name in asked]


def _parquet_records(file: Path, asked: Sequence[tuple[str, str]]) -> Iterator[Record]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False) as table:
            names = table.schema_arrow.names
            places = [_place(str(file), key, field, names, len(names)) for key, field in asked]
            columns = [names[place] for place in places]
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(columns))):
                for values in zip(*(batch[name].to_pylist() for name in columns), strict=True):
                    number += 1
                    yield f"{file}, row {number}", values
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {first_line(error)}") from error


# Kinds of tables by the ends of their names, ".gz" left aside.
TABLES: dict[str, Callable[[Path, Sequence[tuple[str, str]]], Iterator[Record]]] = {
    ".csv": _csv_records,
    ".tsv": _tab_records,
    ".tab": _tab_records,
    ".jsonl": _json_records,
    ".ndjson": _json_records,
    ".parquet": _parquet_records,
}
