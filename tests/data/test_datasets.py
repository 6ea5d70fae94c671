"""TFDS: a dataset is read by name, offline, in parts, and what is missing is named."""

import shutil

import numpy as np
import pytest

from wae_rnf_jax.data import datasets
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.datasets import dataset_shards, open_dataset
from wae_rnf_jax.data.shards import END
from wae_rnf_jax.errors import InputError

EXAMPLES = {
    "train": [
        {"text": f"sentence {i} of many", "label": "even odd".split()[i % 2]} for i in range(40)
    ],
    "test": [
        {"text": "sentence 1 of\nmany", "label": "odd"},
        {"text": "naïve 東京", "label": "even"},
    ],
}


def build(directory: str, splits: dict) -> None:
    """A dataset in array_record files, which keeps the order of its examples."""
    import tensorflow_datasets as tfds

    first = next(iter(splits.values()))[0]
    kinds = {str: tfds.features.Text(), bytes: tfds.features.Text(), int: np.int64}
    features = {name: kinds[type(value)] for name, value in first.items()}

    # Not registered by name: TFDS then opens what was built from its files, without this code.
    with tfds.core.registered.skip_registration():

        class SentenceCorpus(tfds.core.GeneratorBasedBuilder):
            """Sentences."""

            VERSION = tfds.core.Version("1.0.0")
            # Where TFDS looks for checksums of downloads. There are none, and the search itself
            # needs importlib_resources, which TFDS 4.9.10 does not require.
            code_path = None

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    disable_shuffling=True,
                )

            def _split_generators(self, dl_manager):
                return {split: enumerate(examples) for split, examples in splits.items()}

            def _generate_examples(self):
                raise NotImplementedError

    SentenceCorpus(data_dir=directory, file_format="array_record").download_and_prepare()


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory) -> str:
    """A data directory with a dataset of a training and a test split."""
    directory = str(tmp_path_factory.mktemp("tfds"))
    build(directory, EXAMPLES)
    return directory


def words_of(directory: str, split: str, text_feature: str = "text") -> list[str]:
    builder = open_dataset(
        "sentence_corpus", data_dir=directory, splits=(split,), text_feature=text_feature
    )
    shards = dataset_shards(builder, split, text_feature=text_feature)
    return [word for shard in shards for block in shard.blocks() for word in block.words]


@pytest.mark.parametrize("size", [7, 40, 1000])
def test_parts_of_a_split_give_all_of_it_in_order(tfds_dir, monkeypatch, size):
    monkeypatch.setattr(datasets, "_SHARD_EXAMPLES", size)
    monkeypatch.setattr(datasets, "_BLOCK_EXAMPLES", 3)
    expected = " ".join(f"sentence {i} of many {END}" for i in range(10, 40))
    assert words_of(tfds_dir, "train[25%:]") == expected.split()
    assert words_of(tfds_dir, "test") == f"sentence 1 of many {END} naïve 東京 {END}".split()


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
            r"no split 'validation'; .* are: train, test;",
        ),
        ({"splits": ("train[:half]", "test", "test")}, r"no split 'train\[:half\]'"),
        ({"splits": ("train[:1%]", "test", "test")}, "is empty"),
        ({"splits": ("train", "test")}, "splits must be three names"),
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
    build(str(tmp_path), {"train": [{"text": "a b", "stars": 5}]})
    assert words_of(str(tmp_path), "train") == ["a", "b", END]
    with pytest.raises(InputError, match=r"no text feature 'stars'; .*: text \(of stars, text\)"):
        words_of(str(tmp_path), "train", "stars")


@pytest.mark.parametrize(
    "text, message",
    [
        ("b <eos>", r"example 1 of split 'train' of .*: the word <eos> is reserved"),
        (b"\xff", r"example 1 of split 'train' of .* is not UTF-8"),
    ],
)
def test_a_bad_example_is_told_by_number(tmp_path, text, message):
    build(str(tmp_path), {"train": [{"text": "a"}, {"text": text}]})
    with pytest.raises(InputError, match=message):
        words_of(str(tmp_path), "train")


@pytest.mark.slow
def test_processes_read_a_dataset_as_one_does(tfds_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_SHARD_EXAMPLES", 4)
    corpora = [load(tfds_dir, str(tmp_path / str(n)), num_workers=n) for n in (1, 2)]
    assert corpora[0].fingerprint == corpora[1].fingerprint


def damaged(content, how):
    half = len(content) // 2
    return {"empty": b"", "cut short": content[:half], "junk": bytes(len(content))}[how]


@pytest.mark.parametrize("how", ["empty", "cut short", "junk"])
@pytest.mark.parametrize("file", ["*-train.*", "dataset_info.json", "features.json"])
def test_a_damaged_file_is_named_as_such(tfds_dir, tmp_path, file, how):
    copied = shutil.copytree(tfds_dir, tmp_path / "tfds")
    (place,) = copied.rglob(file)
    place.write_bytes(damaged(place.read_bytes(), how))
    datasets._opened.cache_clear()
    with pytest.raises(InputError) as caught:
        words_of(str(copied), "train")
    message = str(caught.value)
    assert "damaged" in message
    assert str(copied) in message
    assert "\n" not in message
