"""TensorFlow Datasets (TFDS): builders of this project's corpora, and a reader of any dataset.

Everything is kept as array_record files and read as TFDS's data sources: tensorflow is not
needed, and nothing is fetched from a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from wae_rnf_jax.data.grammar import grammar_sentences
from wae_rnf_jax.data.text import SPLITS, Record, text_files, text_records
from wae_rnf_jax.data.vocabulary import first_reserved_word
from wae_rnf_jax.errors import InputError

__all__ = [
    "GrammarCorpus",
    "SentenceBuilder",
    "TextCorpus",
    "dataset_digest",
    "dataset_records",
    "open_dataset",
    "prepare_dataset",
]

_FORMAT = "array_record"
_BLOCK = 1024


class SentenceBuilder(tfds.core.GeneratorBasedBuilder):
    """Sentences in their order, each with what is known of it.

    TFDS keeps floating-point numbers in 32 bits; a log-probability is kept exactly, as text.
    """

    VERSION = tfds.core.Version("1.0.0")
    # Where TFDS looks for checksums of downloads. There are none, and the search itself needs
    # importlib_resources, which TFDS 4.9.10 does not require.
    code_path = None
    FEATURES: tuple[str, ...] = ("text",)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(
                {name: tfds.features.Text() for name in self.FEATURES}
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {split: self._generate_examples(self.records(split)) for split in SPLITS}

    def _generate_examples(self, records: Iterator[Record]) -> Iterator[tuple[int, dict]]:
        for number, record in enumerate(records):
            example = {
                "text": record.text,
                "label": record.label or "",
                "log_prob": repr(record.log_prob),
            }
            yield number, {name: example[name] for name in self.FEATURES}

    def records(self, split: str) -> Iterator[Record]:
        """The sentences of a split; subclasses define it."""
        raise NotImplementedError


class GrammarCorpus(SentenceBuilder):
    """Sentences of the built-in grammar, with their topics and exact log-probabilities."""

    FEATURES = ("text", "label", "log_prob")

    def __init__(self, *, seed: int, num_sentences: Sequence[int], **options: object) -> None:
        """Sets up the builder.

        Args:
            seed: which sentences are drawn.
            num_sentences: how many in training, validation and test split.
            **options: as TFDS's builders take them, ``data_dir`` among them.
        """
        self._seed = seed
        self._num_sentences = dict(zip(SPLITS, num_sentences, strict=True))
        super().__init__(file_format=_FORMAT, **options)

    def records(self, split: str) -> Iterator[Record]:
        """Draws the sentences of a split."""
        for sentence in grammar_sentences(self._num_sentences[split], seed=self._seed, split=split):
            yield Record(sentence.text, sentence.topic, sentence.log_prob)


class TextCorpus(SentenceBuilder):
    """The lines of a folder's train.txt, valid.txt and test.txt, with their leading labels."""

    def __init__(self, *, path: str, label: str, **options: object) -> None:
        """Sets up the builder.

        Args:
            path: the folder.
            label: "none", or "leading" where the first field of each line is its label.
            **options: as TFDS's builders take them, ``data_dir`` among them.
        """
        self._files = text_files(path)
        self._label = label
        self.FEATURES = ("text", "label") if label == "leading" else ("text",)
        super().__init__(file_format=_FORMAT, **options)

    def records(self, split: str) -> Iterator[Record]:
        """Reads the lines of a split, those without words included."""
        return text_records(self._files[split], label=self._label)


def prepare_dataset(builder: tfds.core.DatasetBuilder) -> None:
    """Generates a dataset's files; prints nothing, and shows progress on a terminal only.

    Args:
        builder: one of the builders above.
    """
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    # TFDS announces on standard output, which belongs to the command's results.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=config)


def open_dataset(
    name: str, *, data_dir: str, splits: Sequence[str], text_feature: str
) -> tfds.core.DatasetBuilder:
    """Opens a dataset that was prepared before, from its files alone.

    Args:
        name: its name, with config and version where needed ("name/config:1.0.0").
        data_dir: where it was prepared; empty for TFDS's own default.
        splits: what will be read of it.
        text_feature: the feature that holds the sentence.

    Returns:
        Its builder.

    Raises:
        InputError: if the dataset, a split or the feature does not exist, or its files are of a
            format that tensorflow alone can read; it names what exists.
    """
    if not name:
        raise InputError("the tfds source needs the name of a dataset")
    where = data_dir or tfds.core.constants.DATA_DIR
    try:
        builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir or None)
    except (ValueError, OSError) as error:
        raise InputError(
            f"no prepared dataset {name!r} in {where}, which holds {_names_in(where)}; prepare it "
            f"there with: tfds build {name} --file_format={_FORMAT} --data_dir={where}"
        ) from error
    _check_features(builder, text_feature)
    for split in splits:
        _check_split(builder, split)
    return builder


def _names_in(directory: str) -> str:
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    except OSError:
        return "nothing (no such folder)"
    return ", ".join(name for name in names if name != "downloads") or "none"


def _check_features(builder: tfds.core.DatasetBuilder, text_feature: str) -> None:
    name, features = builder.info.full_name, dict(builder.info.features.items())
    texts = [key for key, kind in features.items() if isinstance(kind, tfds.features.Text)]
    if text_feature not in texts:
        raise InputError(
            f"dataset {name} has no text feature {text_feature!r}; its text features are: "
            f"{', '.join(texts) or 'none'} (of {', '.join(features)})"
        )
    if builder.info.file_format.value != _FORMAT:
        raise InputError(
            f"dataset {name} is stored as {builder.info.file_format.value}, which only tensorflow "
            f"can read; prepare it with --file_format={_FORMAT}"
        )


def _check_split(builder: tfds.core.DatasetBuilder, split: str) -> None:
    known = ", ".join(builder.info.splits)
    try:
        number = builder.info.splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        raise InputError(
            f"dataset {builder.info.full_name} has no split {split!r}, its splits are: {known}; "
            "name three to be read as training, validation and test split, parts such as "
            "train[:90%] and train[90%:] allowed"
        ) from error
    if number == 0:
        raise InputError(f"split {split!r} of dataset {builder.info.full_name} is empty")


def dataset_digest(builder: tfds.core.DatasetBuilder, splits: Sequence[str]) -> str:
    """SHA-256 over the files that splits are read from and which part of each.

    Args:
        builder: from `open_dataset`.
        splits: what will be read.

    Returns:
        The digest in hexadecimal.

    Raises:
        InputError: if a file cannot be read.
    """
    digest = hashlib.sha256()
    files: dict[str, str] = {}
    for split in splits:
        for part in builder.info.splits[split].file_instructions:
            if part.filename not in files:
                files[part.filename] = _file_digest(Path(part.filename))
            digest.update(f"{split} {files[part.filename]} {part.skip} {part.take}\n".encode())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def dataset_records(
    builder: tfds.core.DatasetBuilder, split: str, *, features: Mapping[str, str]
) -> Iterator[Record]:
    """Reads the sentences of a split in the order they are stored.

    Args:
        builder: a prepared dataset.
        split: what to read.
        features: which feature holds each field of a `Record`; all are text.

    Yields:
        The records.

    Raises:
        InputError: if a sentence is not UTF-8 or holds a reserved word; it names the example.
    """
    # Only what is asked for is decoded: images beside the text, say, are left alone.
    decoder = tfds.features.FeaturesDict({name: tfds.features.Text() for name in features.values()})
    source = builder.as_data_source(
        split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    place = f"of split {split!r} of dataset {builder.info.full_name}"
    for begin in range(0, len(source), _BLOCK):
        block = source.__getitems__(range(begin, min(begin + _BLOCK, len(source))))
        for number, example in enumerate(block, start=begin):
            values = decoder.deserialize_example_np(example)
            fields = {field: values[name] for field, name in features.items()}
            yield _record(fields, f"example {number} {place}")


def _record(values: Mapping[str, bytes], where: str) -> Record:
    try:
        fields = {field: value.decode() for field, value in values.items()}
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8") from error
    reserved = first_reserved_word(fields["text"].split())
    if reserved is not None:
        raise InputError(f"{where}: the word {reserved} is reserved and may not stand in a text")
    log_prob = float(fields["log_prob"]) if "log_prob" in fields else None
    return Record(fields["text"], fields.get("label"), log_prob)
