"""Corpora: from a source of sentences to a vocabulary and three tokenised splits.

A source is tokenised once, into a cache directory named after the source's content and the
settings. What is there is whole, and of several processes that want the same corpus one prepares it
(see `new_directory`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from wae_rnf_jax.data.manifest import MANIFEST, VOCABULARY, read_manifest, write_manifest
from wae_rnf_jax.data.preparation import prepare_corpus
from wae_rnf_jax.data.remote_corpora import fetch_corpus, local_cache, publish_corpus
from wae_rnf_jax.data.sources import grammar_source, text_source, tfds_source
from wae_rnf_jax.data.text import SPLITS
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.data.workers import num_cores
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.files import new_directory
from wae_rnf_jax.storage.object_store import RemoteFolder, is_remote

__all__ = [
    "SOURCES",
    "Corpus",
    "cached_corpus",
    "load_corpus",
    "load_evaluation_corpus",
    "save_evaluation_corpus",
]

SOURCES = ("grammar", "text", "tfds")


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
    """

    vocabulary: Vocabulary
    train: TokenSplit | None
    valid: TokenSplit | None
    test: TokenSplit | None
    fingerprint: str
    labels: tuple[str, ...] = ()
    skipped: Mapping[str, int] | None = None
    num_train: int | None = None


def load_corpus(
    source: str,
    *,
    path: str = "",
    cache_dir: str,
    min_count: int = 1,
    max_size: int = 0,
    max_words: int = 0,
    vocabulary: str = "",
    label: str = "none",
    dataset: str = "",
    text_feature: str = "text",
    splits: Sequence[str] = ("train", "validation", "test"),
    seed: int = 0,
    num_sentences: Sequence[int] = (20_000, 2_000, 2_000),
    num_workers: int = 1,
    thorough: bool = False,
) -> Corpus:
    """Opens a corpus, preparing it first if the cache has none like it.

    Args:
      source: "grammar" (built in), "text" (a folder of plain text) or "tfds" (any TensorFlow
        Datasets dataset of text).
      path: for "text" the folder with ``train.txt``, ``valid.txt`` and ``test.txt``; for "tfds"
        the data directory the dataset was prepared in. Either may be in an object store, as
        gs://BUCKET/FOLDER, and is then copied to the cache.
      cache_dir: where prepared corpora are kept; one in an object store is read and written by
        way of the local one, ``~/.cache/wae_rnf_jax``.
      min_count: words seen less often in the training split become ``<unk>``.
      max_size: largest vocabulary, specials included; 0 for no limit.
      max_words: sentences are cut after so many words; 0 for never.
      vocabulary: file of a vocabulary to take as it is, in place of the training split's, here
        or in an object store; it leaves ``min_count`` and ``max_size`` nothing to decide.
      label: for "text" whether each line is led by a label ("leading") or not ("none").
      dataset: for "tfds" the dataset's name, with config and version where needed.
      text_feature: for "tfds" the feature that holds the sentence.
      splits: for "tfds" what to read as training, validation and test split; parts such as
        "train[:90%]" are understood.
      seed: for "grammar" which sentences are drawn.
      num_sentences: for "grammar" how many in training, validation and test split.
      num_workers: processes that prepare it; 0 for one a core. They change nothing in the result.
      thorough: whether the files of a prepared corpus are read and checked even if they look
        untouched.

    Returns:
      The corpus, memory-mapped.

    Raises:
      InputError: if a setting is wrong, the source is missing or bad, or the cache is damaged
        or cannot be written.
    """
    _check_max_words(max_words, source)
    cache = local_cache(cache_dir)
    if source == "grammar":
        found = grammar_source(seed=seed, num_sentences=num_sentences)
    elif source == "text":
        found = text_source(path, label=label, cache=cache)
    elif source == "tfds":
        found = tfds_source(
            dataset, data_dir=path, splits=splits, text_feature=text_feature, cache=cache
        )
    else:
        raise InputError(f"unknown source {source!r}: it must be one of {', '.join(SOURCES)}")
    settings = {"min_count": min_count, "max_size": max_size, "max_words": max_words}
    key = {"version": 1, "source": source, **found.key, **settings}
    given = _given_vocabulary(vocabulary, min_count, max_size, cache)
    if given is not None:
        key["vocabulary"] = hashlib.sha256("\n".join(given.words).encode()).hexdigest()
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    name = f"{source}-{digest[:16]}"
    store = f"{cache_dir.rstrip('/')}/{name}" if is_remote(cache_dir) else ""
    with new_directory(cache / name) as temporary:
        if temporary is not None and not (store and fetch_corpus(store, temporary)):
            logging.info("preparing the corpus in %s", cache / name)
            workers = num_workers or num_cores()
            prepare_corpus(found.shards, temporary, key, given, **settings, num_workers=workers)
            if store:
                publish_corpus(temporary, store)
    return _open_corpus(cache / name, thorough=thorough)


def _check_max_words(max_words: int, source: str) -> None:
    if max_words < 0:
        raise InputError(f"max_words must be 0 (no limit) or more, not {max_words}")
    if source == "grammar" and max_words:
        raise InputError("max_words must be 0 for the grammar: it knows no cut sentence's log p")


def _given_vocabulary(path: str, min_count: int, max_size: int, cache: Path) -> Vocabulary | None:
    if not path:
        return None
    if (min_count, max_size) != (1, 0):
        raise InputError(
            f"the vocabulary is that of {path}: min_count must be 1 and max_size 0, not "
            f"{min_count} and {max_size}"
        )
    if is_remote(path):
        folder, _, name = path.rpartition("/")
        path = str(RemoteFolder(folder).cached([name], cache) / name)
    return Vocabulary.load(path)


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
    return Corpus(
        vocabulary=Vocabulary.load(directory / VOCABULARY),
        **parts,
        fingerprint=manifest["fingerprint"],
        labels=tuple(manifest["labels"]),
        skipped=manifest["skipped"],
        num_train=manifest.get("num_train") if parts["train"] is None else len(parts["train"]),
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
                raise InputError(f"{directory} holds another corpus; choose another directory")
            return
        corpus.vocabulary.save(temporary / VOCABULARY)
        for split in splits:
            getattr(corpus, split).save(temporary / split, vocab_size=corpus.vocabulary.size)
        content = {
            "labels": list(corpus.labels),
            "skipped": corpus.skipped,
            "num_train": corpus.num_train,
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
