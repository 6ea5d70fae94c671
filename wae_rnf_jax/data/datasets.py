"""TensorFlow Datasets (TFDS): a reader of any dataset of text that was prepared before.

Datasets are read from array_record files as TFDS's data sources: tensorflow is not needed, and
nothing is fetched from a network.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wae_rnf_jax.data.digests import file_digest
from wae_rnf_jax.data.shards import Block, record_blocks
from wae_rnf_jax.data.special_words import first_reserved_word
from wae_rnf_jax.data.text import Record
from wae_rnf_jax.errors import InputError, first_line
from wae_rnf_jax.storage.files import home_expanded

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

__all__ = ["DatasetShard", "dataset_digest", "dataset_shards", "open_dataset"]

_FORMAT = "array_record"
_SHARD_EXAMPLES = 1 << 14
_BLOCK_EXAMPLES = 1 << 10


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
    where = home_expanded(data_dir or tfds.core.constants.DATA_DIR)
    try:
        builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=where)
    except Exception as error:  # what damaged descriptions raise is many libraries'
        names = _names_in(where)
        how = f"with: tfds build {name} --file_format={_FORMAT} --data_dir={where}"
        if name.partition(":")[0].partition("/")[0] not in names:
            shown = ", ".join(names) or "none"
            raise InputError(
                f"no prepared dataset {name!r} in {where}, which holds {shown}; prepare it there "
                f"{how}"
            ) from error
        raise InputError(
            f"no prepared dataset {name!r} in {where} can be read: it has another version or "
            f"config, or is damaged ({first_line(error)}); prepare it again {how}"
        ) from error
    _check_features(builder, text_feature)
    for split in splits:
        _check_split(builder, split)
    return builder


def _names_in(directory: str) -> list[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    except OSError:
        return ["nothing (no such folder)"]
    return [name for name in names if name != "downloads"]


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
            f"dataset {name} is stored as {builder.info.file_format.value}, which only TensorFlow "
            f"can read; prepare it with --file_format={_FORMAT}"
        )


def _check_split(builder: tfds.core.DatasetBuilder, split: str) -> None:
    known = ", ".join(builder.info.splits)
    try:
        number = builder.info.splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        raise InputError(
            f"dataset {builder.info.full_name} has no split {split!r}; its splits are: {known}; "
            "name three for training, validation and test, or parts of them, such as train[:90%] "
            "and train[90%:]"
        ) from error
    if number == 0:
        raise InputError(f"split {split!r} of dataset {builder.info.full_name} is empty")


def dataset_digest(
    builder: tfds.core.DatasetBuilder, splits: Sequence[str], *, memory: Path
) -> str:
    """SHA-256 over the files that splits are read from and which part of each.

    Args:
      builder: from `open_dataset`.
      splits: what will be read.
      memory: folder of digests, see `file_digest`.

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
                files[part.filename] = file_digest(Path(part.filename), memory=memory)
            digest.update(f"{split} {files[part.filename]} {part.skip} {part.take}\n".encode())
    return digest.hexdigest()


def dataset_shards(
    builder: tfds.core.DatasetBuilder, split: str, *, text_feature: str
) -> list[DatasetShard]:
    """Cuts a split into ranges of examples, in the order they are stored.

    Args:
      builder: from `open_dataset`.
      split: what to read.
      text_feature: the feature that holds the sentence.

    Returns:
      The parts, in order.
    """
    size, directory = builder.info.splits[split].num_examples, os.fspath(builder.data_path)
    return [
        DatasetShard(directory, split, text_feature, begin, min(begin + _SHARD_EXAMPLES, size))
        for begin in range(0, size, _SHARD_EXAMPLES)
    ]


class DatasetShard(NamedTuple):
    """A range of a split's examples; each process opens the dataset by itself.

    Attributes:
      directory: of the dataset's files.
      split: what to read.
      text_feature: the feature that holds the sentence.
      begin: first example.
      end: the example after the last.
    """

    directory: str
    split: str
    text_feature: str
    begin: int
    end: int

    def blocks(self) -> Iterator[Block]:
        """The examples, block by block.

        Yields:
          Blocks of sentences.

        Raises:
          InputError: if a sentence is not UTF-8 or holds a reserved word, or a file is damaged; it
            names the example.
        """
        return record_blocks(self._records())

    def _records(self) -> Iterator[Record]:
        for begin in range(self.begin, self.end, _BLOCK_EXAMPLES):
            numbers = range(begin, min(begin + _BLOCK_EXAMPLES, self.end))
            try:
                name, texts = self._texts(numbers)
            except Exception as error:  # what a damaged file raises is several libraries'
                where = f"examples {numbers.start} to {numbers.stop - 1} of split {self.split!r}"
                raise InputError(
                    f"{where} of the dataset in {self.directory} cannot be read "
                    f"({first_line(error)}): a file is damaged; copy or prepare the dataset again"
                ) from error
            for number, text in zip(numbers, texts, strict=True):
                yield _record(text, f"example {number} of split {self.split!r} of dataset {name}")

    def _texts(self, numbers: range) -> tuple[str, list[bytes]]:
        """The dataset's name, and some examples' sentences."""
        name, source, decoder = _opened(self.directory, self.split, self.text_feature)
        examples = map(decoder.deserialize_example_np, source.__getitems__(numbers))
        texts = [example[self.text_feature] for example in examples]
        if None in texts:  # of what lies behind the end of a file cut short
            raise ValueError("a sentence is missing")
        return name, texts


@functools.lru_cache(maxsize=4)
def _opened(directory: str, split: str, text_feature: str):
    """A dataset's name, a split's examples as stored, and what decodes their one feature wanted."""
    import tensorflow_datasets as tfds

    builder = tfds.core.read_only_builder.builder_from_directory(directory)
    # Only what is asked for is decoded: images beside the text, say, are left alone.
    decoder = tfds.features.FeaturesDict({text_feature: tfds.features.Text()})
    source = builder.as_data_source(
        split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    return builder.info.full_name, source, decoder


def _record(content: bytes, where: str) -> Record:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8") from error
    reserved = first_reserved_word(text.split())
    if reserved is not None:
        raise InputError(f"{where}: the word {reserved} is reserved and may not appear in a text")
    return Record(text)
