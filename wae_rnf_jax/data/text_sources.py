"""Sources of text as people have it: a folder of splits, a single file, or tables.

A single file is split, and a table is turned into text, in the cache; what follows is the same.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from wae_rnf_jax.data.digests import DIGESTS, file_digest
from wae_rnf_jax.data.notes import form_notes
from wae_rnf_jax.data.shards import Source, text_shards
from wae_rnf_jax.data.splitting import check_fractions, split_notes, write_split, write_splits
from wae_rnf_jax.data.tables import TABLES, Row, is_table, table_rows
from wae_rnf_jax.data.text import LABELS, SPLITS, text_digest, text_files, text_records
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.files import home_expanded, new_directory
from wae_rnf_jax.storage.object_store import RemoteFolder, cached_file, is_remote

__all__ = ["table_source", "text_source"]

_FRACTIONS = (0.8, 0.1, 0.1)


def text_source(
    *,
    path: str = "",
    label: str = "none",
    fractions: Sequence[float] = _FRACTIONS,
    seed: int = 0,
    cache: Path,
) -> Source:
    """Plain text, one sentence a line.

    Args:
      path: a folder with ``train.txt``, ``valid.txt`` and ``test.txt``, or a single file, which is
        split; here or in an object store, as gs://BUCKET/FOLDER or gs://BUCKET/FILE.txt.
      label: "none", or "leading" where the first field of each line is its label.
      fractions: of a single file, that training, validation and test split get.
      seed: of that draw.
      cache: local folder for copies of what is in a store, for the splits of a single file, and for
        digests of large files.

    Returns:
      What its content is, and its parts.

    Raises:
      InputError: if a file is missing or empty, or a setting none of these; of a single file, if a
        line is bad; reading the parts raises more (see `TextShard`).
    """
    if label not in LABELS:
        raise InputError(f"label must be one of {', '.join(LABELS)}, not {label!r}")
    if is_remote(path):
        if path.endswith(".txt"):
            path = os.fspath(cached_file(path, cache))
        else:
            names = [f"{split}.txt" for split in SPLITS]
            path = os.fspath(RemoteFolder(path).cached(names, cache))
    file = Path(home_expanded(path))
    if not file.is_file():
        _check_drawn(path, fractions, seed)
        files = text_files(path)
        notes = (note for file in files.values() for note in form_notes(file, label=label))
        return _text_parts(path, label, notes, cache)
    check_fractions(fractions)
    records = text_records(file, label=label)
    rows = (Row(" ".join(record.text.split()), record.label) for record in records)
    folder = _split_folder(
        [file],
        {"label": label, "fractions": list(fractions), "seed": int(seed)},
        lambda folder: write_splits(rows, folder, fractions=fractions, seed=seed),
        cache,
    )
    notes = itertools.chain(form_notes(file, label=label), split_notes(folder))
    return _text_parts(os.fspath(folder), label, notes, cache)


def table_source(
    *,
    path: str = "",
    text_field: str = "text",
    label_field: str = "",
    group_field: str = "",
    fractions: Sequence[float] = _FRACTIONS,
    seed: int = 0,
    cache: Path,
) -> Source:
    """A table with a sentence a row, or three of them.

    Args:
      path: a file (see `TABLES`), which is split, or a folder with a table of each split, such as
        ``train.csv``, ``valid.csv`` and ``test.csv``; here or in an object store.
      text_field: name or number, from 1, of the field with the sentence.
      label_field: of the one with its label; empty for none.
      group_field: of the one whose equal values stay in one split; empty for none.
      fractions: of a single file, that training, validation and test split get.
      seed: of that draw.
      cache: local folder for copies of what is in a store, for the sentences of a table as text,
        and for digests of large files.

    Returns:
      What its content is, and its parts.

    Raises:
      InputError: if a file or a field is missing, a row is bad, or a setting none of these.
    """
    fields = {"text_field": text_field, "label_field": label_field}
    files = _tables(path, cache)
    if len(files) == 1:
        check_fractions(fractions)
        fields["group_field"] = group_field
        drawn = {"fractions": list(fractions), "seed": int(seed)}
        rows = table_rows(files[0], **fields)
        write = functools.partial(write_splits, rows, fractions=fractions, seed=seed)
    else:
        _check_drawn(path, fractions, seed, group_field)
        drawn = {}
        splits = {
            split: table_rows(file, **fields) for split, file in zip(SPLITS, files, strict=True)
        }
        write = functools.partial(write_split, splits)
    folder = _split_folder(files, {**fields, **drawn}, write, cache)
    label = "leading" if label_field else "none"
    return _text_parts(os.fspath(folder), label, split_notes(folder), cache)


def _check_drawn(path: str, fractions: Sequence[float], seed: int, group: str = "") -> None:
    """Refuses what is said of splitting where the splits are there."""
    if tuple(fractions) != _FRACTIONS or seed or group:
        raise InputError(
            f"{path} is not a single file and is not split: leave fractions, seed and group_field "
            "at their defaults"
        )


def _tables(path: str, cache: Path) -> list[Path]:
    """The table that a path names, or those of the splits in a folder."""
    kinds = f"{', '.join(TABLES)} (or these followed by .gz)"
    if is_remote(path) and is_table(path):
        found = cached_file(path, cache)
    elif is_remote(path):
        remote = RemoteFolder(path)
        found = remote.cached([name for name in remote.names() if _split_of(name)], cache)
    else:
        found = Path(home_expanded(path))
    if found.is_file():
        if not is_table(found.name):
            raise InputError(f"{path} is not a readable table: its name must end in {kinds}")
        return [found]
    files = [file for file in found.iterdir() if _split_of(file.name)] if found.is_dir() else []
    splits = sorted(files, key=lambda file: SPLITS.index(_split_of(file.name)))
    if [_split_of(file.name) for file in splits] != list(SPLITS) or not path:
        raise InputError(
            f"no table {path!r}: the table source needs a file ending in {kinds}, or a folder "
            "with three of them, named train, valid and test"
        )
    return splits


def _split_of(name: str) -> str:
    """The split whose table a file's name is; empty for any other."""
    stem = name.partition(".")[0]
    return stem if is_table(name) and stem in SPLITS else ""


def _split_folder(
    files: Sequence[Path],
    settings: Mapping[str, object],
    write: Callable[[Path], None],
    cache: Path,
) -> Path:
    """The folder of text that is made of files, once for each content and settings."""
    digests = [file_digest(file, memory=cache / DIGESTS) for file in files]
    kinds = ["".join(file.suffixes) for file in files]  # which say how a file is read
    key = json.dumps({"version": 2, "files": digests, "kinds": kinds, **settings}, sort_keys=True)
    folder = cache / f"split-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with new_directory(folder) as temporary:
        if temporary is not None:
            write(temporary)
    return folder


def _text_parts(path: str, label: str, notes: Iterable[str], cache: Path) -> Source:
    shards = {split: text_shards(file, label=label) for split, file in text_files(path).items()}
    key = {"content": text_digest(path, memory=cache / DIGESTS), "label": label}
    return Source(key, shards, notes)
