"""Where sentences come from: the built-in grammar, a folder of text, or a TFDS dataset.

A source says what its content is, which names its place in the cache, and gives a function that
puts the sentences into a TFDS dataset in a given folder (unless they are in one already) and
returns them split by split. TFDS takes seconds to import, so that a corpus that is in the cache is
opened without it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wae_rnf_jax.data.grammar import grammar_fingerprint
from wae_rnf_jax.data.text import LABELS, SPLITS, Record, text_digest
from wae_rnf_jax.errors import InputError

if TYPE_CHECKING:
    from wae_rnf_jax.data.builders import SentenceBuilder

__all__ = ["Records", "Source", "grammar_source", "text_source", "tfds_source"]

# The records of each split, as often as they are asked for.
Records = Mapping[str, Callable[[], Iterable[Record]]]


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

    def build(directory: Path) -> Records:
        from wae_rnf_jax.data import builders

        builder = builders.GrammarCorpus(
            seed=seed, num_sentences=numbers, data_dir=os.fspath(directory)
        )
        return _built_records(builder)

    key = {"content": grammar_fingerprint(), "seed": seed, "num_sentences": numbers}
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

    def build(directory: Path) -> Records:
        from wae_rnf_jax.data import builders

        builder = builders.TextCorpus(path=path, label=label, data_dir=os.fspath(directory))
        return _built_records(builder)

    return Source({"content": text_digest(path), "label": label}, build)


def _built_records(builder: SentenceBuilder) -> Records:
    from wae_rnf_jax.data import builders

    builders.prepare_dataset(builder)
    features = {name: name for name in builder.FEATURES}
    return {
        split: functools.partial(builders.dataset_records, builder, split, features=features)
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
    from wae_rnf_jax.data import builders

    if len(splits) != len(SPLITS):
        raise InputError(f"splits must name three (training, validation, test), not {splits!r}")
    builder = builders.open_dataset(
        dataset, data_dir=data_dir, splits=splits, text_feature=text_feature
    )
    records = {
        split: functools.partial(
            builders.dataset_records, builder, part, features={"text": text_feature}
        )
        for split, part in zip(SPLITS, splits, strict=True)
    }
    key = {"content": builders.dataset_digest(builder, splits), "text_feature": text_feature}
    return Source(key, lambda directory: records)
