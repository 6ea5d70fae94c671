"""From the parts of a source to a corpus's files: one pass counts the words, one encodes them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from wae_rnf_jax.data.encoding import EncodedShard, counted_words, encoded_shard
from wae_rnf_jax.data.manifest import write_manifest
from wae_rnf_jax.data.notes import (
    Doubts,
    Repetitions,
    label_notes,
    merged_doubts,
    word_notes,
)
from wae_rnf_jax.data.shards import Shard
from wae_rnf_jax.data.text import SPLITS
from wae_rnf_jax.data.tokenizers import Tokenizer
from wae_rnf_jax.data.tokens import TokenWriter
from wae_rnf_jax.data.vocabulary_plan import VocabularyPlan
from wae_rnf_jax.data.workers import ordered_map
from wae_rnf_jax.errors import InputError, progress_bar

__all__ = ["prepare_corpus"]

_SILENT_SECONDS = 5  # what is done sooner shows no progress


def prepare_corpus(
    shards: Mapping[str, Sequence[Shard]],
    directory: Path,
    *,
    key: Mapping[str, object],
    plan: VocabularyPlan,
    notes: Iterable[str] | None,
    max_words: int,
    num_workers: int,
) -> None:
    """Writes vocabulary, splits and manifest of a corpus.

    Args:
      shards: the parts of each split.
      directory: an empty folder.
      key: what decides the corpus's content, for the manifest.
      plan: how it comes by its vocabulary.
      notes: what is doubtful about the form of the text; None where nothing is to be doubted.
      max_words: sentences are cut after so many words; 0 for never.
      num_workers: processes at once; they change nothing in the result.

    Raises:
      InputError: if a sentence is bad, a split holds none, or the vocabulary is empty.
    """

    def word_counts(some: Sequence[Shard], tokenizer: Tokenizer) -> Counter[str]:
        count = functools.partial(counted_words, tokenizer=tokenizer, max_words=max_words)
        return _word_counts(count, some, num_workers=num_workers)

    vocabulary = plan.carried_out(shards["train"], word_counts)
    vocabulary.write_to(directory)
    encode = functools.partial(encoded_shard, vocabulary=vocabulary, max_words=max_words)
    labels: dict[str, int] = {}
    skipped, findings = {}, _Findings()
    every = [shard for split in SPLITS for shard in shards[split]]
    with closing(_progress(encode, every, num_workers, "encoding")) as encoded:
        for split in SPLITS:
            with TokenWriter(directory / split, vocab_size=vocabulary.size) as writer:
                parts = (next(encoded) for _ in shards[split])
                skipped[split] = _write_split(writer, findings.of(split, parts), labels)
            if writer.num_sentences == 0:
                raise InputError(f"the {split} split contains no sentences, only empty lines")
    content = {"key": key, "labels": list(labels), "skipped": skipped, **findings.counts()}
    if notes is not None:
        content["notes"] = [*notes, *findings.notes(list(labels))]
    write_manifest(directory, content)


def _word_counts(
    count: Callable[[Shard], Counter[str]], shards: Sequence[Shard], *, num_workers: int
) -> Counter[str]:
    """Occurrences of each word, in order of first appearance in the split."""
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


class _Findings:
    """What is noted of a text while its parts are written."""

    def __init__(self) -> None:
        self._doubts: Doubts = {}
        self._repetitions = Repetitions()
        self._label_counts: dict[str, Counter[str]] = {}
        self._losses: dict[str, dict[str, int]] = {"unknown": {}, "altered": {}}

    def of(self, split: str, parts: Iterable[EncodedShard]) -> Iterator[EncodedShard]:
        """Notes what there is to note of a split's parts, which are passed on."""
        counts = self._label_counts.setdefault(split, Counter())
        for part in parts:
            for name, number in self._losses.items():
                number[split] = number.get(split, 0) + getattr(part, name)
            self._doubts = merged_doubts([self._doubts, part.doubts])
            self._repetitions.add(split, part.hashes)
            if part.labels is not None:
                numbers = np.bincount(part.labels, minlength=len(part.label_names))
                counts.update(dict(zip(part.label_names, numbers.tolist(), strict=True)))
            yield part

    def counts(self) -> dict[str, dict]:
        """What the manifest says of each split, see `Corpus`."""
        return {**self._losses, "label_counts": self._label_counts}

    def notes(self, labels: Sequence[str]) -> Iterator[str]:
        """The notes, a sentence each."""
        yield from word_notes(self._doubts)
        yield from self._repetitions.notes()
        yield from label_notes(labels, self._label_counts)


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
