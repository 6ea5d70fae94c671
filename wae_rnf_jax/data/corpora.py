"""Corpora: from a source of sentences to a vocabulary and three tokenised splits.

A source is tokenised once, into a cache directory named after the source's content and the
settings. Preparing is atomic: the directory is made under another name and renamed, so that what
is there is whole, and of several processes that prepare the same corpus the first one wins.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging

from wae_rnf_jax.data.grammar import grammar_fingerprint
from wae_rnf_jax.data.text import LABELS, SPLITS, Record, text_digest
from wae_rnf_jax.data.tokens import TokenSplit, TokenWriter, read_manifest, write_manifest
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError

if TYPE_CHECKING:
    from wae_rnf_jax.data.builders import SentenceBuilder

__all__ = ["SOURCES", "Corpus", "load_corpus", "load_evaluation_corpus", "save_evaluation_corpus"]

SOURCES = ("grammar", "text", "tfds")
_VOCABULARY = "vocabulary.txt"
# The records of each split, as often as they are asked for.
Records = Mapping[str, Callable[[], Iterable[Record]]]


@dataclass(frozen=True)
class Corpus:
    """A vocabulary and three splits.

    Attributes:
        vocabulary: words and ids, from the training split alone.
        train: the training split; None in a corpus kept for evaluation.
        valid: the validation split.
        test: the test split.
        fingerprint: SHA-256 over vocabulary and all three splits, in hexadecimal.
        labels: the names of the splits' label numbers; empty where there are no labels.
        skipped: how many lines without words each split had.
    """

    vocabulary: Vocabulary
    train: TokenSplit | None
    valid: TokenSplit
    test: TokenSplit
    fingerprint: str
    labels: tuple[str, ...] = ()
    skipped: Mapping[str, int] | None = None


def load_corpus(
    source: str,
    *,
    path: str = "",
    cache_dir: str,
    min_count: int = 1,
    max_size: int = 0,
    max_words: int = 0,
    label: str = "none",
    dataset: str = "",
    text_feature: str = "text",
    splits: Sequence[str] = ("train", "validation", "test"),
    seed: int = 0,
    num_sentences: Sequence[int] = (20_000, 2_000, 2_000),
) -> Corpus:
    """Opens a corpus, preparing it first if the cache has none like it.

    Args:
        source: "grammar" (built in), "text" (a folder of plain text) or "tfds" (any TensorFlow
            Datasets dataset of text).
        path: for "text" the folder with ``train.txt``, ``valid.txt`` and ``test.txt``; for "tfds"
            the data directory the dataset was prepared in.
        cache_dir: where prepared corpora are kept.
        min_count: words seen less often in the training split become ``<unk>``.
        max_size: largest vocabulary, specials included; 0 for no limit.
        max_words: sentences are cut after so many words; 0 for never.
        label: for "text" whether each line is led by a label ("leading") or not ("none").
        dataset: for "tfds" the dataset's name, with config and version where needed.
        text_feature: for "tfds" the feature that holds the sentence.
        splits: for "tfds" what to read as training, validation and test split; parts such as
            "train[:90%]" are understood.
        seed: for "grammar" which sentences are drawn.
        num_sentences: for "grammar" how many in training, validation and test split.

    Returns:
        The corpus, memory-mapped.

    Raises:
        InputError: if a setting is wrong, the source is missing or bad, or the cache is damaged
            or cannot be written.
    """
    if max_words < 0:
        raise InputError(f"max_words must be 0 (no limit) or more, not {max_words}")
    if source == "grammar":
        key, build = _grammar_source(seed, num_sentences, max_words)
    elif source == "text":
        key, build = _text_source(path, label)
    elif source == "tfds":
        key, build = _tfds_source(dataset, path, splits, text_feature)
    else:
        raise InputError(f"unknown source {source!r}: it must be one of {', '.join(SOURCES)}")
    settings = {"min_count": min_count, "max_size": max_size, "max_words": max_words}
    key = {"version": 1, "source": source, **key, **settings}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    directory = Path(cache_dir) / f"{source}-{digest[:16]}"
    if not directory.exists():
        logging.info("preparing the corpus in %s", directory)
        with _new_directory(directory) as temporary:
            _tokenise(build(temporary / "tfds"), temporary, key, **settings)
    return _open_corpus(directory)


# The sources give what their content is, for the name of the cache, and a function that puts the
# sentences into a TFDS dataset in the folder it is given, unless they are in one already. TFDS
# takes seconds to import, so a corpus that is in the cache is opened without it.


def _grammar_source(
    seed: int, num_sentences: Sequence[int], max_words: int
) -> tuple[dict, Callable[[Path], Records]]:
    if len(num_sentences) != len(SPLITS) or min(num_sentences) < 1:
        raise InputError(
            "num_sentences must be three numbers above 0 (training, validation, test), not "
            f"{tuple(num_sentences)}"
        )
    if max_words:
        raise InputError("max_words must be 0 for the grammar: it knows no cut sentence's log p")
    numbers = [int(number) for number in num_sentences]

    def build(directory: Path) -> Records:
        from wae_rnf_jax.data import builders

        builder = builders.GrammarCorpus(
            seed=seed, num_sentences=numbers, data_dir=os.fspath(directory)
        )
        return _built_records(builder)

    return {"content": grammar_fingerprint(), "seed": seed, "num_sentences": numbers}, build


def _text_source(path: str, label: str) -> tuple[dict, Callable[[Path], Records]]:
    if label not in LABELS:
        raise InputError(f"label must be one of {', '.join(LABELS)}, not {label!r}")

    def build(directory: Path) -> Records:
        from wae_rnf_jax.data import builders

        builder = builders.TextCorpus(path=path, label=label, data_dir=os.fspath(directory))
        return _built_records(builder)

    return {"content": text_digest(path), "label": label}, build


def _built_records(builder: SentenceBuilder) -> Records:
    from wae_rnf_jax.data import builders

    builders.prepare_dataset(builder)
    features = {name: name for name in builder.FEATURES}
    return {
        split: functools.partial(builders.dataset_records, builder, split, features=features)
        for split in SPLITS
    }


def _tfds_source(
    dataset: str, data_dir: str, splits: Sequence[str], text_feature: str
) -> tuple[dict, Callable[[Path], Records]]:
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
    return key, lambda directory: records


@contextmanager
def _new_directory(directory: Path) -> Iterator[Path]:
    """Gives a folder to fill, renamed to ``directory`` in the end, removed on an error."""
    temporary = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".preparing-", dir=directory.parent))
        yield temporary
        temporary.chmod(0o755)
        try:
            os.replace(temporary, directory)
        except OSError:
            # A directory that holds files is never replaced: another process was first.
            if not directory.is_dir():
                raise
    except OSError as error:
        raise InputError(f"cannot write {directory}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _tokenise(
    records: Records,
    directory: Path,
    key: Mapping[str, object],
    *,
    min_count: int,
    max_size: int,
    max_words: int,
) -> None:
    """Writes vocabulary, splits and manifest: one pass to count the words, one to encode them."""
    limit = max_words or None
    counts: Counter[str] = Counter()
    for record in records["train"]():
        counts.update(record.text.split()[:limit])
    vocabulary = Vocabulary.from_counts(counts, min_count=min_count, max_size=max_size)
    vocabulary.save(directory / _VOCABULARY)
    labels: dict[str, int] = {}
    skipped = {}
    for split in SPLITS:
        with TokenWriter(directory / split, vocab_size=vocabulary.size) as writer:
            skipped[split] = _write_split(writer, records[split](), vocabulary, limit, labels)
        if writer.num_sentences == 0:
            raise InputError(f"the {split} split holds no sentence, only empty lines")
        if skipped[split]:
            logging.warning("%d empty lines of the %s split skipped", skipped[split], split)
    write_manifest(directory, {"key": key, "labels": list(labels), "skipped": skipped})


def _write_split(
    writer: TokenWriter,
    records: Iterable[Record],
    vocabulary: Vocabulary,
    limit: int | None,
    labels: dict[str, int],
) -> int:
    """Encodes the records of one split; returns how many were empty."""
    skipped = 0
    for record in records:
        ids = vocabulary.encode(record.text)[:limit]
        if not ids:
            skipped += 1
            continue
        label = None if record.label is None else labels.setdefault(record.label, len(labels))
        writer.append(ids, log_prob=record.log_prob, label=label)
    return skipped


def _open_corpus(directory: Path) -> Corpus:
    manifest = read_manifest(directory)
    parts = {
        split: TokenSplit.load(directory / split) if (directory / split).is_dir() else None
        for split in SPLITS
    }
    return Corpus(
        vocabulary=Vocabulary.load(directory / _VOCABULARY),
        **parts,
        fingerprint=manifest["fingerprint"],
        labels=tuple(manifest["labels"]),
        skipped=manifest["skipped"],
    )


def save_evaluation_corpus(corpus: Corpus, directory: str | os.PathLike[str]) -> None:
    """Keeps what evaluation needs: the vocabulary, the validation and the test split.

    Nothing happens if the directory already holds the same corpus.

    Args:
        corpus: the corpus.
        directory: folder to make.

    Raises:
        InputError: if the directory holds another corpus or cannot be written.
    """
    directory = Path(directory)
    if directory.exists():
        if read_manifest(directory)["fingerprint"] != corpus.fingerprint:
            raise InputError(f"{directory} holds another corpus; choose another directory")
        return
    with _new_directory(directory) as temporary:
        corpus.vocabulary.save(temporary / _VOCABULARY)
        corpus.valid.save(temporary / "valid", vocab_size=corpus.vocabulary.size)
        corpus.test.save(temporary / "test", vocab_size=corpus.vocabulary.size)
        content = {"labels": list(corpus.labels), "skipped": corpus.skipped}
        write_manifest(temporary, content, fingerprint=corpus.fingerprint)


def load_evaluation_corpus(directory: str | os.PathLike[str]) -> Corpus:
    """Opens what `save_evaluation_corpus` wrote.

    Args:
        directory: its folder.

    Returns:
        The corpus, with None for its training split and the fingerprint of the whole.

    Raises:
        InputError: if it is missing or damaged.
    """
    return _open_corpus(Path(directory))
