"""Where sentences come from: the built-in grammar, plain text, tables, or a TFDS dataset.

A source says what its content is, which names its place in the cache, and cuts each split into
parts that can be read independently. TFDS takes seconds to import, so that it is imported for its
own datasets alone.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wae_rnf_jax.data.datasets import dataset_digest, dataset_shards, open_dataset
from wae_rnf_jax.data.digests import DIGESTS
from wae_rnf_jax.data.grammar import grammar_fingerprint, grammar_sentences
from wae_rnf_jax.data.shards import RecordShard, Source
from wae_rnf_jax.data.text import SPLITS, Record
from wae_rnf_jax.data.text_sources import table_source, text_source
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.object_store import RemoteFolder, is_remote

__all__ = ["SOURCES", "grammar_source", "opened_source", "tfds_source"]


def grammar_source(
    *, seed: int = 0, num_sentences: Sequence[int] = (20_000, 2_000, 2_000)
) -> Source:
    """The built-in corpus.

    Args:
      seed: which sentences are drawn.
      num_sentences: how many in training, validation and test split.

    Returns:
      What its content is, and its parts.

    Raises:
      InputError: if the numbers are not three, each above 0.
    """
    if len(num_sentences) != len(SPLITS) or min(num_sentences) < 1:
        raise InputError(
            "num_sentences must be three numbers above 0 (training, validation, test), not "
            f"{tuple(num_sentences)}"
        )
    numbers = [int(number) for number in num_sentences]

    shards = {
        split: [RecordShard(functools.partial(_grammar_records, number, int(seed), split))]
        for split, number in zip(SPLITS, numbers, strict=True)
    }
    key = {"content": grammar_fingerprint(), "seed": int(seed), "num_sentences": numbers}
    return Source(key, shards, notes=None)


def _grammar_records(number: int, seed: int, split: str) -> Iterator[Record]:
    for sentence in grammar_sentences(number, seed=seed, split=split):
        yield Record(sentence.text, sentence.topic, sentence.log_prob)


def tfds_source(
    *,
    dataset: str = "",
    path: str = "",
    splits: Sequence[str] = ("train", "validation", "test"),
    text_feature: str = "text",
    cache: Path,
) -> Source:
    """A dataset that was prepared with TFDS.

    Args:
      dataset: its name, with config and version where needed.
      path: where it was prepared, here or in an object store; empty for TFDS's default.
      splits: what to read as training, validation and test split; parts such as "train[:90%]" are
        understood.
      text_feature: the feature that holds the sentence.
      cache: local folder for copies of what is in a store, and for digests of large files.

    Returns:
      What its content is, and its parts.

    Raises:
      InputError: if dataset, feature or a split does not exist; it names what exists.
    """
    if len(splits) != len(SPLITS):
        raise InputError(f"splits must be three names (training, validation, test), not {splits!r}")
    if is_remote(path):
        folder = dataset.partition(":")[0].partition("/")[0]
        remote = RemoteFolder(path)
        names = remote.names(folder)
        if not names:
            raise InputError(f"{remote.url} holds no dataset {folder!r}")
        path = os.fspath(remote.cached(names, cache))
    builder = open_dataset(dataset, data_dir=path, splits=splits, text_feature=text_feature)
    shards = {
        split: dataset_shards(builder, part, text_feature=text_feature)
        for split, part in zip(SPLITS, splits, strict=True)
    }
    content = dataset_digest(builder, splits, memory=cache / DIGESTS)
    key = {"content": content, "text_feature": text_feature}
    return Source(key, shards)


SOURCES = {
    "grammar": grammar_source,
    "text": text_source,
    "table": table_source,
    "tfds": tfds_source,
}


def opened_source(name: str, settings: Mapping[str, Any], *, cache: Path) -> Source:
    """A source by its name.

    Args:
      name: one of `SOURCES`.
      settings: what it takes; what only other sources take may be among them.
      cache: local folder for copies of what is in a store, and for digests of large files.

    Returns:
      The source.

    Raises:
      InputError: if there is no such source, or as it raises.
      TypeError: if no source takes a setting.
    """
    if name not in SOURCES:
        raise InputError(f"unknown source {name!r}: it must be one of {', '.join(SOURCES)}")
    taken = {known: inspect.signature(source).parameters for known, source in SOURCES.items()}
    for key in settings:
        if not any(key in parameters for parameters in taken.values()):
            raise TypeError(f"no source takes {key}")
    given = {key: value for key, value in settings.items() if key in taken[name]}
    return SOURCES[name](**given, **{"cache": cache} if "cache" in taken[name] else {})
