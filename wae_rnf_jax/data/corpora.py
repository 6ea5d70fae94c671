"""Corpora: from a source of sentences to a vocabulary and three tokenized splits.

A source is tokenized once, into a cache directory named after the source's content and the
settings. What is there is whole, and of several processes that want the same corpus one prepares it
(see `new_directory`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from wae_rnf_jax.data.manifest import MANIFEST, read_manifest, write_manifest
from wae_rnf_jax.data.preparation import prepare_corpus
from wae_rnf_jax.data.remote_corpora import fetch_corpus, local_cache, publish_corpus
from wae_rnf_jax.data.sources import opened_source
from wae_rnf_jax.data.text import SPLITS
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.data.vocabulary_plan import vocabulary_plan
from wae_rnf_jax.data.workers import num_cores
from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.storage.files import new_directory
from wae_rnf_jax.storage.object_store import is_remote

__all__ = [
    "Corpus",
    "cached_corpus",
    "load_corpus",
    "load_evaluation_corpus",
    "save_evaluation_corpus",
]


@dataclass(frozen=True)
class Corpus:
    """A vocabulary and three splits.

    Attributes:
      vocabulary: words and ids, from the training split alone, or as they were given.
      train: the training split; None in a corpus kept for evaluation.
      valid: the validation split; None, as the next, where only the vocabulary was kept.
      test: the test split.
      fingerprint: SHA-256 over vocabulary and all three splits, in hexadecimal.
      labels: the names of the splits' label numbers; empty where there are no labels.
      skipped: how many lines without words each split had.
      num_train: sentences of the training split, where known.
      notes: what was found doubtful about the text when it was prepared, a sentence each.
      unknown: how many tokens of each split are outside the vocabulary, ``<unk>`` in the text left
        aside; where known.
      altered: how many sentences of each split are not what their tokens stand for; where known.
      label_counts: how many sentences of each split have which label; where known.
    """

    vocabulary: Vocabulary
    train: TokenSplit | None
    valid: TokenSplit | None
    test: TokenSplit | None
    fingerprint: str
    labels: tuple[str, ...] = ()
    skipped: Mapping[str, int] | None = None
    num_train: int | None = None
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, int] | None = None
    altered: Mapping[str, int] | None = None
    label_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def load_corpus(
    source: str,
    *,
    cache_dir: str,
    max_words: int = 0,
    num_workers: int = 1,
    thorough: bool = False,
    **settings: Any,
) -> Corpus:
    """Opens a corpus, preparing it first if the cache has none like it.

    What is doubtful about a text that is prepared is said on standard error.

    Args:
      source: "grammar" (built in), "text" (a folder of plain text) or "tfds" (any TensorFlow
        Datasets dataset of text).
      cache_dir: where prepared corpora are kept; one in an object store is read and written by
        way of the local one, ``~/.cache/wae_rnf_jax``.
      max_words: sentences are cut after so many words; 0 for never.
      num_workers: processes that prepare it; 0 for one a core. They change nothing in the result.
      thorough: whether the files of a prepared corpus are read and checked even if they look
        untouched, and the notes on its text shown again.
      **settings: of tokenizer and vocabulary (see `vocabulary_plan`), and what the source takes
        (see `sources`); what only other sources take is not read.

    Returns:
      The corpus, memory-mapped.

    Raises:
      InputError: if a setting is wrong, the source is missing or bad, or the cache is damaged
        or cannot be written.
    """
    _check_max_words(max_words, source)
    cache = local_cache(cache_dir)
    of_vocabulary = settings.keys() & inspect.signature(vocabulary_plan).parameters.keys()
    plan = vocabulary_plan(**{name: settings.pop(name) for name in of_vocabulary}, cache=cache)
    found = opened_source(source, settings, cache=cache)
    key = {"version": 1, "source": source, **found.key, **plan.key, "max_words": max_words}
    arguments = {"key": key, "plan": plan, "notes": found.notes, "max_words": max_words}
    workers = num_workers or num_cores()
    directory = cache / f"{source}-{_digest(key)[:16]}"
    is_new = _prepared_in(
        directory,
        lambda folder: prepare_corpus(found.shards, folder, num_workers=workers, **arguments),
        cache_dir,
    )
    corpus = _open_corpus(directory, thorough=thorough)
    for note in corpus.notes if is_new or thorough else ():
        warn(f"note: {note}")
    return corpus


def _digest(key: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _prepared_in(directory: Path, prepare: Callable[[Path], None], cache_dir: str) -> bool:
    """Prepares a corpus in a folder, or copies it there from the store; False if it is there."""
    store = f"{cache_dir.rstrip('/')}/{directory.name}" if is_remote(cache_dir) else ""
    with new_directory(directory) as temporary:
        if temporary is not None and not (store and fetch_corpus(store, temporary)):
            logging.info("preparing the corpus in %s", directory)
            prepare(temporary)
            if store:
                publish_corpus(temporary, store)
    return temporary is not None


def _check_max_words(max_words: int, source: str) -> None:
    if max_words < 0:
        raise InputError(f"max_words must be 0 (no limit) or more, not {max_words}")
    if source == "grammar" and max_words:
        raise InputError("max_words must be 0 for the grammar: log p of a cut sentence is unknown")


def cached_corpus(cache_dir: str, fingerprint: str) -> Corpus | None:
    """Opens a corpus that the cache still has, whether or not its source still exists.

    Args:
      cache_dir: where prepared corpora are kept; variables and ``~`` are expanded.
      fingerprint: of the corpus.

    Returns:
      The whole corpus, or None where the cache has it no more.

    Raises:
      InputError: if it is there but damaged.
    """
    try:
        cache = local_cache(os.path.expandvars(cache_dir))
    except InputError:  # there is no home here, and so no cache in it
        return None
    for path in sorted(cache.glob(f"[!.]*/{MANIFEST}")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no manifest of any corpus
        if found == fingerprint:
            return _open_corpus(path.parent)
    return None


def _open_corpus(directory: Path, *, thorough: bool = False) -> Corpus:
    manifest = read_manifest(directory, thorough=thorough)
    parts = {
        split: TokenSplit.load(directory / split) if (directory / split).is_dir() else None
        for split in SPLITS
    }
    labels = tuple(manifest["labels"])
    counted = {
        split: dict(
            zip(labels, np.bincount(part.labels, minlength=len(labels)).tolist(), strict=True)
        )
        for split, part in parts.items()
        if part is not None and part.labels is not None and "label_counts" not in manifest
    }
    return Corpus(
        vocabulary=Vocabulary.read_from(directory),
        **parts,
        fingerprint=manifest["fingerprint"],
        labels=labels,
        skipped=manifest["skipped"],
        num_train=manifest.get("num_train") if parts["train"] is None else len(parts["train"]),
        # Earlier versions wrote none of these.
        notes=tuple(manifest.get("notes", ())),
        unknown=manifest.get("unknown"),
        altered=manifest.get("altered"),
        label_counts=manifest.get("label_counts", counted),
    )


def save_evaluation_corpus(
    corpus: Corpus,
    directory: str | os.PathLike[str],
    *,
    splits: Sequence[str] = ("valid", "test"),
) -> None:
    """Keeps what evaluation needs: the vocabulary, the validation and the test split.

    Nothing happens if the directory already holds the same corpus.

    Args:
      corpus: the corpus.
      directory: folder to make.
      splits: which to keep.

    Raises:
      InputError: if the directory holds another corpus or cannot be written.
    """
    directory = Path(directory)
    with new_directory(directory) as temporary:
        if temporary is None:
            if read_manifest(directory)["fingerprint"] != corpus.fingerprint:
                raise InputError(f"{directory} holds a different corpus; choose another directory")
            return
        corpus.vocabulary.write_to(temporary)
        for split in splits:
            getattr(corpus, split).save(temporary / split, vocab_size=corpus.vocabulary.size)
        content = {
            "labels": list(corpus.labels),
            "skipped": corpus.skipped,
            "num_train": corpus.num_train,
            "unknown": corpus.unknown,
            "altered": corpus.altered,
            "label_counts": {name: dict(known) for name, known in corpus.label_counts.items()},
        }
        write_manifest(temporary, content, fingerprint=corpus.fingerprint)


def load_evaluation_corpus(directory: str | os.PathLike[str]) -> Corpus:
    """Opens what `save_evaluation_corpus` wrote.

    Args:
      directory: its folder.

    Returns:
      The corpus, with None for the splits that it does not keep and the fingerprint of the whole.

    Raises:
      InputError: if it is missing or damaged.
    """
    return _open_corpus(Path(directory))
