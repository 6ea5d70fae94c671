"""TensorFlow Datasets (TFDS): a builder of this project's corpora, and a reader of any dataset.

Everything is kept as array_record files and read as TFDS's data sources: tensorflow is not
needed, and nothing is fetched from a network.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wae_rnf_jax.data.text import Record
from wae_rnf_jax.data.vocabulary import first_reserved_word
from wae_rnf_jax.errors import InputError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

__all__ = [
    "Records",
    "dataset_digest",
    "dataset_records",
    "open_dataset",
    "sentence_corpus",
]

# The records of each split, as often as they are asked for.
Records = Mapping[str, Callable[[], Iterable[Record]]]

_FORMAT = "array_record"
_BLOCK = 1024


@functools.cache
def _sentence_corpus_class() -> type[tfds.core.GeneratorBasedBuilder]:
    """The TFDS builder; a function makes it because TFDS takes seconds to import."""
    import tensorflow_datasets as tfds

    # Not registered by name: TFDS then opens what was built from its files, without this code.
    with tfds.core.registered.skip_registration():

        class SentenceCorpus(tfds.core.GeneratorBasedBuilder):
            """Sentences in their order, each with its label and log-probability if known."""

            VERSION = tfds.core.Version("1.0.0")
            # Where TFDS looks for checksums of downloads. There are none, and the search itself
            # needs importlib_resources, which TFDS 4.9.10 does not require.
            code_path = None

            def __init__(self, *, records: Records, features: Sequence[str], data_dir: str):
                self._records = records
                self._feature_names = tuple(features)
                super().__init__(data_dir=data_dir, file_format=_FORMAT)

            def _info(self) -> tfds.core.DatasetInfo:
                texts = {name: tfds.features.Text() for name in self._feature_names}
                return tfds.core.DatasetInfo(
                    builder=self,
                    description=type(self).__doc__,
                    features=tfds.features.FeaturesDict(texts),
                    disable_shuffling=True,
                )

            def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
                return {split: self._generate_examples(split) for split in self._records}

            def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, str]]]:
                for number, record in enumerate(self._records[split]()):
                    example = _example(record)
                    yield number, {name: example[name] for name in self._feature_names}

    return SentenceCorpus


def _example(record: Record) -> dict[str, str]:
    # TFDS keeps floating-point numbers in 32 bits; as text, the log-probability stays exact.
    return {"text": record.text, "label": record.label or "", "log_prob": repr(record.log_prob)}


def sentence_corpus(
    records: Records, *, features: Sequence[str], data_dir: str
) -> tfds.core.DatasetBuilder:
    """Builds a TFDS dataset, "sentence_corpus", in array_record files.

    It prints nothing, and shows progress on a terminal only.

    Args:
        records: the sentences of each split, those without words included.
        features: which fields of the records to keep, "text" among them; all are kept as text.
        data_dir: TFDS data directory to build it in.

    Returns:
        The dataset's builder, ready to be read.
    """
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = _sentence_corpus_class()(records=records, features=features, data_dir=data_dir)
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    # TFDS announces on standard output, which belongs to the command's results.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=config)
    return builder


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
    import tensorflow_datasets as tfds

    if not name:
        raise InputError("the tfds source needs the name of a dataset")
    where = os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR)
    try:
        builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=where)
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
    import tensorflow_datasets as tfds

    name, features = builder.info.full_name, dict(sorted(builder.info.features.items()))
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
    import tensorflow_datasets as tfds

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
