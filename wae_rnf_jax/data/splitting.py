"""One source of sentences into three files of text: training, validation and test.

What a sentence's split is depends on the sentence (or its group) and a seed alone: repetitions of a
sentence meet in one split, and a text that grows leaves every sentence where it is. Memory holds
eight bytes a sentence.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from array import array
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from wae_rnf_jax.data.tables import Row
from wae_rnf_jax.data.text import SPLITS
from wae_rnf_jax.errors import InputError

__all__ = ["check_fractions", "split_notes", "write_split", "write_splits"]

_NOTES = "notes.json"
_EMPTY = 0  # in place of the hash of a row without words


def check_fractions(fractions: Sequence[float]) -> None:
    """Raises InputError unless these are three shares of a whole."""
    sound = len(fractions) == len(SPLITS) and min(fractions) > 0
    if not sound or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            "fractions must be three numbers above 0 (training, validation, test) whose sum is 1, "
            f"not {tuple(fractions)}"
        )


def write_splits(
    rows: Iterable[Row], folder: Path, *, fractions: Sequence[float], seed: int
) -> None:
    """Writes sentences to ``train.txt``, ``valid.txt`` and ``test.txt``, labels leading.

    Args:
      rows: the sentences. Those of a group go to one split; where groups have brought a sentence
        into two, it is left out of the later one.
      folder: an empty folder.
      fractions: of the three splits.
      seed: of the draw.

    Raises:
      InputError: as the rows, or if a split gets no sentence.
    """
    bounds = [bound * 2**64 for bound in itertools.accumulate(fractions)][:-1]
    salt, grouped = int(seed).to_bytes(8, "little"), False
    hashes = {split: array("Q") for split in SPLITS}
    with _files(folder) as files:
        for row in rows:
            sentence = place = _hash(row.text, salt) if row.text else _EMPTY
            if row.group is not None:
                grouped, place = True, _hash(row.group, salt)
            split = SPLITS[bisect(bounds, place)]
            files[split].write(_line(row))
            hashes[split].append(sentence)
    found = {split: np.frombuffer(some, np.uint64) for split, some in hashes.items()}
    left_out = _leave_out_repetitions(folder, found) if grouped else dict.fromkeys(SPLITS, 0)
    counts = {split: int((some != _EMPTY).sum()) - left_out[split] for split, some in found.items()}
    for split, count in counts.items():
        if not count:
            raise InputError(
                f"the {split} split gets none of {sum(counts.values()):,} sentences: choose "
                "other data.fractions or another data.seed"
            )
    repeated = 0 if grouped else sum(len(some) - len(np.unique(some)) for some in found.values())
    notes = list(_numbers(counts, left_out, repeated))
    (folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")


def write_split(splits: Mapping[str, Iterable[Row]], folder: Path) -> None:
    """Writes sentences whose split is known to the same files.

    Args:
      splits: the sentences of each.
      folder: an empty folder.

    Raises:
      InputError: as the rows.
    """
    with _files(folder) as files:
        for split, rows in splits.items():
            files[split].writelines(map(_line, rows))
    (folder / _NOTES).write_text("[]", encoding="utf-8")


def split_notes(folder: Path) -> list[str]:
    """What there is to say of how a text was split, a sentence each."""
    return json.loads((folder / _NOTES).read_text(encoding="utf-8"))


@contextmanager
def _files(folder: Path) -> Iterator[dict[str, TextIO]]:
    with ExitStack() as held:
        yield {
            split: held.enter_context((folder / f"{split}.txt").open("w", encoding="utf-8"))
            for split in SPLITS
        }


def _line(row: Row) -> str:
    return f"{row.text}\n" if row.label is None else f"{row.label} {row.text}\n"


def _hash(text: str, salt: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=salt).digest())


def _leave_out_repetitions(folder: Path, hashes: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Takes out of each split what stands in an earlier one; returns how many sentences."""
    known, numbers = np.zeros(0, np.uint64), {}
    for split in SPLITS:
        kept = (hashes[split] == _EMPTY) | ~np.isin(hashes[split], known)
        numbers[split] = int((~kept).sum())
        if numbers[split]:
            file = folder / f"{split}.txt"
            whole = file.rename(folder / "whole.txt")
            with whole.open("rb") as lines, file.open("wb") as chosen:
                chosen.writelines(itertools.compress(lines, kept))
            whole.unlink()
        known = np.union1d(known, hashes[split])
    return numbers


def _numbers(
    counts: Mapping[str, int], left_out: Mapping[str, int], repeated: int
) -> Iterator[str]:
    parts = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    yield f"split by data.fractions and data.seed: {parts} sentences"
    if repeated:
        yield (
            f"{repeated:,} sentences repeat another one; all copies of a sentence are in the same "
            "split"
        )
    for split, number in left_out.items():
        if number:
            yield (
                f"{number:,} sentences of groups in the {split} split also occur in an earlier "
                "split and are left out"
            )
