"""Where sentences come from: the built-in grammar, a folder of text, or a TFDS dataset.

A source says what its content is, which names its place in the cache, and gives a function that
puts the sentences into a TFDS dataset in a given folder (unless they are in one already) and
returns them split by split. TFDS takes seconds to import, so that a corpus that is in the cache is
opened without it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wae_rnf_jax.data.builders import (
    Records,
    dataset_digest,
    dataset_records,
    open_dataset,
    sentence_corpus,
)
from wae_rnf_jax.data.grammar import grammar_fingerprint, grammar_sentences
from wae_rnf_jax.data.text import LABELS, SPLITS, Record, text_digest, text_files, text_records
from wae_rnf_jax.errors import InputError

__all__ = ["Records", "Source", "grammar_source", "text_source", "tfds_source"]


class Source(NamedTuple):
    """A source of sentences.

    Attributes:
        key: what decides its content, as JSON takes it.
        build: gives the sentences; it may keep a TFDS dataset in the folder it is given.
    """

    key: dict[str, object]
    build: Callable[[Path], Records]


def grammar_source(*, seed: int, num_sentences: Sequence[int]) -> Source:
    """The built-in corpus.

    Args:
        seed: which sentences are drawn.
        num_sentences: how many in training, validation and test split.

    Returns:
        What its content is, and how to build it.

    Raises:
        InputError: if the numbers are not three, each above 0.
    """
    if len(num_sentences) != len(SPLITS) or min(num_sentences) < 1:
        raise InputError(
            "num_sentences must be three numbers above 0 (training, validation, test), not "
            f"{tuple(num_sentences)}"
        )
    numbers = [int(number) for number in num_sentences]

    def records(split: str, number: int) -> Iterator[Record]:
        for sentence in grammar_sentences(number, seed=seed, split=split):
            yield Record(sentence.text, sentence.topic, sentence.log_prob)

    parts = {
        split: functools.partial(records, split, number)
        for split, number in zip(SPLITS, numbers, strict=True)
    }
    build = functools.partial(_built, parts, ("text", "label", "log_prob"))
    key = {"content": grammar_fingerprint(), "seed": int(seed), "num_sentences": numbers}
    return Source(key, build)


def text_source(path: str, *, label: str) -> Source:
    """A folder of plain text.

    Args:
        path: the folder.
        label: "none", or "leading" where the first field of each line is its label.

    Returns:
        What its content is, and how to build it.

    Raises:
        InputError: if a file is missing or empty, or the label none of these; building it raises
            more (see `text_records`).
    """
    if label not in LABELS:
        raise InputError(f"label must be one of {', '.join(LABELS)}, not {label!r}")

    parts = {
        split: functools.partial(text_records, file, label=label)
        for split, file in text_files(path).items()
    }
    features = ("text", "label") if label == "leading" else ("text",)
    build = functools.partial(_built, parts, features)
    return Source({"content": text_digest(path), "label": label}, build)


def _built(records: Records, features: Sequence[str], directory: Path) -> Records:
    """The records by way of a TFDS dataset, which stays in the folder."""
    builder = sentence_corpus(records, features=features, data_dir=os.fspath(directory))
    return {
        split: functools.partial(
            dataset_records, builder, split, features={name: name for name in features}
        )
        for split in SPLITS
    }


def tfds_source(dataset: str, *, data_dir: str, splits: Sequence[str], text_feature: str) -> Source:
    """A dataset that was prepared with TFDS.

    Args:
        dataset: its name, with config and version where needed.
        data_dir: where it was prepared; empty for TFDS's default.
        splits: what to read as training, validation and test split.
        text_feature: the feature that holds the sentence.

    Returns:
        What its content is, and how to read it.

    Raises:
        InputError: if dataset, feature or a split does not exist; it names what exists.
    """
    if len(splits) != len(SPLITS):
        raise InputError(f"splits must name three (training, validation, test), not {splits!r}")
    builder = open_dataset(dataset, data_dir=data_dir, splits=splits, text_feature=text_feature)
    records = {
        split: functools.partial(dataset_records, builder, part, features={"text": text_feature})
        for split, part in zip(SPLITS, splits, strict=True)
    }
    key = {"content": dataset_digest(builder, splits), "text_feature": text_feature}
    return Source(key, lambda directory: records)
