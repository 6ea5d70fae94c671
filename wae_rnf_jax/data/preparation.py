"""From the parts of a source to a corpus's files: one pass counts the words, one encodes them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from absl import logging

from wae_rnf_jax.data.encoding import EncodedShard, counted_words, encoded_shard
from wae_rnf_jax.data.manifest import VOCABULARY, write_manifest
from wae_rnf_jax.data.shards import Shard
from wae_rnf_jax.data.text import SPLITS
from wae_rnf_jax.data.tokens import TokenWriter
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS, Vocabulary
from wae_rnf_jax.data.workers import ordered_map
from wae_rnf_jax.errors import InputError, progress_bar

__all__ = ["prepare_corpus"]

_SILENT_SECONDS = 5  # what is done sooner shows no progress


def prepare_corpus(
    shards: Mapping[str, Sequence[Shard]],
    directory: Path,
    key: Mapping[str, object],
    vocabulary: Vocabulary | None,
    *,
    min_count: int,
    max_size: int,
    max_words: int,
    num_workers: int,
) -> None:
    """Writes vocabulary, splits and manifest of a corpus.

    Args:
      shards: the parts of each split.
      directory: an empty folder.
      key: what decides the corpus's content, for the manifest.
      vocabulary: to be taken as it is; None for that of the training split.
      min_count: words seen less often in the training split become ``<unk>``.
      max_size: largest vocabulary, specials included; 0 for no limit.
      max_words: sentences are cut after so many words; 0 for never.
      num_workers: processes at once; they change nothing in the result.

    Raises:
      InputError: if a sentence is bad, a split holds none, or the vocabulary is empty.
    """
    if vocabulary is None:
        counts = _word_counts(shards["train"], max_words=max_words, num_workers=num_workers)
        vocabulary = Vocabulary.from_counts(counts, min_count=min_count, max_size=max_size)
        if vocabulary.size == len(SPECIAL_WORDS) and counts:
            raise InputError(
                f"the vocabulary is empty: no word stands {min_count} times in the training "
                "split, <unk> left aside"
            )
    vocabulary.save(directory / VOCABULARY)
    encode = functools.partial(encoded_shard, vocabulary=vocabulary, max_words=max_words)
    labels: dict[str, int] = {}
    skipped = {}
    every = [shard for split in SPLITS for shard in shards[split]]
    with closing(_progress(encode, every, num_workers, "encoding")) as encoded:
        for split in SPLITS:
            with TokenWriter(directory / split, vocab_size=vocabulary.size) as writer:
                parts = (next(encoded) for _ in shards[split])
                skipped[split] = _write_split(writer, parts, labels)
            if writer.num_sentences == 0:
                raise InputError(f"the {split} split holds no sentence, only empty lines")
            if skipped[split]:
                logging.warning("%d empty lines of the %s split skipped", skipped[split], split)
    write_manifest(directory, {"key": key, "labels": list(labels), "skipped": skipped})


def _word_counts(shards: Sequence[Shard], *, max_words: int, num_workers: int) -> Counter[str]:
    """Occurrences of each word, in order of first appearance in the split."""
    count = functools.partial(counted_words, max_words=max_words)
    total: Counter[str] = Counter()
    with closing(_progress(count, shards, num_workers, "counting words")) as parts:
        for counts in parts:
            total.update(counts)
    return total


def _progress(function: Callable, shards: Sequence[Shard], num_workers: int, what: str) -> Iterator:
    """The results of the shards in order, with a bar on standard error if it takes a while."""
    with (
        closing(ordered_map(function, shards, num_workers=num_workers)) as results,
        progress_bar(total=len(shards), desc=what, unit="part", delay=_SILENT_SECONDS) as bar,
    ):
        for result in results:
            yield result
            bar.update()


def _write_split(writer: TokenWriter, parts: Iterator[EncodedShard], labels: dict[str, int]) -> int:
    """Writes the parts of one split, one after the other; returns how many lines were empty."""
    skipped = 0
    for part in parts:
        numbers = None
        if part.labels is not None:
            # Each part has numbered its labels for itself.
            own = [labels.setdefault(name, len(labels)) for name in part.label_names]
            numbers = np.asarray(own, np.int32)[part.labels]
        writer.extend(part.tokens, part.lengths, log_probs=part.log_probs, labels=numbers)
        skipped += part.skipped
    return skipped
