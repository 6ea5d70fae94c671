"""TFDS: what is built can be read by name, offline, and what is missing is named."""

import numpy as np
import pytest

from wae_rnf_jax.data.builders import dataset_records, open_dataset, sentence_corpus
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.text import Record
from wae_rnf_jax.errors import InputError

RECORDS = {
    "train": [
        Record(f"sentence {i} of many", "even odd".split()[i % 2], -i / 3) for i in range(40)
    ],
    "test": [Record("sentence 1 of\nmany"), Record("naïve 東京")],
}


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory) -> str:
    """A data directory with a dataset of a training and a test split."""
    directory = str(tmp_path_factory.mktemp("tfds"))
    build(directory, RECORDS, ("text", "label"))
    return directory


def build(directory: str, records: dict, features: tuple[str, ...]):
    return sentence_corpus(
        {split: lambda rows=rows: rows for split, rows in records.items()},
        features=features,
        data_dir=directory,
    )


def test_records_come_back_in_order_and_exactly(tmp_path):
    features = ("text", "label", "log_prob")
    builder = build(str(tmp_path), {"train": RECORDS["train"]}, features)
    read = dataset_records(builder, "train", features={name: name for name in features})
    assert list(read) == RECORDS["train"]


def test_dataset_is_known_to_tfds_by_name(tfds_dir):
    import tensorflow_datasets as tfds

    source = tfds.data_source("sentence_corpus", split="test", data_dir=tfds_dir, download=False)
    assert [example["text"].decode() for example in source] == [r.text for r in RECORDS["test"]]
    assert (
        tfds.builder("sentence_corpus", data_dir=tfds_dir).info.file_format.value == "array_record"
    )


def load(tfds_dir, cache, **settings):
    defaults = {"dataset": "sentence_corpus", "splits": ("train[:75%]", "train[75%:]", "test")}
    return load_corpus("tfds", path=tfds_dir, cache_dir=cache, **{**defaults, **settings})


def test_named_dataset_with_parts_of_splits(tfds_dir, cache):
    corpus = load(tfds_dir, cache)
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == (30, 10, 2)
    decode = corpus.vocabulary.decode
    assert decode(corpus.train.sentence(29)) == "sentence 29 of many"
    assert decode(corpus.valid.sentence(0)) == "sentence <unk> of many"
    assert decode(corpus.test.sentence(0)) == "sentence 1 of many"
    again = load(tfds_dir, cache)
    assert again.fingerprint == corpus.fingerprint
    assert load(tfds_dir, cache, splits=("train", "test", "test")).fingerprint != corpus.fingerprint


def test_another_text_feature(tfds_dir, cache):
    corpus = load(tfds_dir, cache, text_feature="label", splits=("train", "train", "train"))
    assert corpus.vocabulary.words[4:] == ("even", "odd")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"dataset": ""}, "needs the name of a dataset"),
        (
            {"dataset": "nowhere"},
            r"no prepared dataset 'nowhere' .* holds sentence_corpus; .*tfds build",
        ),
        ({"dataset": "sentence_corpus:9.9.9"}, "no prepared dataset 'sentence_corpus:9.9.9'"),
        (
            {"splits": ("train", "validation", "test")},
            r"no split 'validation', .* are: train, test;",
        ),
        ({"splits": ("train[:half]", "test", "test")}, r"no split 'train\[:half\]'"),
        ({"splits": ("train[:1%]", "test", "test")}, "is empty"),
        ({"splits": ("train", "test")}, "splits must name three"),
        ({"text_feature": "review"}, r"no text feature 'review'; .* label, text"),
    ],
)
def test_what_is_missing_is_named(tfds_dir, cache, settings, message):
    with pytest.raises(InputError, match=message):
        load(tfds_dir, cache, **settings)


def test_missing_data_directory_is_named(cache):
    with pytest.raises(InputError, match="no such folder"):
        load("/no/such/folder", cache)


def test_features_other_than_text_are_left_alone(tmp_path):
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():

        class Mixed(tfds.core.GeneratorBasedBuilder):
            """Text beside numbers."""

            VERSION = tfds.core.Version("1.0.0")
            code_path = None

            def _info(self):
                features = {"text": tfds.features.Text(), "stars": tfds.features.Scalar(np.int64)}
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features)
                )

            def _split_generators(self, dl_manager):
                return {"train": iter([(0, {"text": "a b", "stars": 5})])}

            def _generate_examples(self):
                raise NotImplementedError

    Mixed(data_dir=str(tmp_path), file_format="array_record").download_and_prepare()
    builder = open_dataset("mixed", data_dir=str(tmp_path), splits=("train",), text_feature="text")
    assert list(dataset_records(builder, "train", features={"text": "text"})) == [Record("a b")]
    with pytest.raises(InputError, match=r"no text feature 'stars'; .*: text \(of stars, text\)"):
        open_dataset("mixed", data_dir=str(tmp_path), splits=("train",), text_feature="stars")


def test_reserved_word_is_refused_with_its_example(tmp_path):
    builder = build(str(tmp_path), {"train": [Record("a"), Record("b <eos>")]}, ("text",))
    with pytest.raises(InputError, match=r"example 1 of split 'train' of .*: the word <eos>"):
        list(dataset_records(builder, "train", features={"text": "text"}))
