"""The real Penn Treebank, where WAE_RNF_DATA_DIR names the folder that holds it."""

import pytest

from wae_rnf_jax.data.buckets import (
    bucket_bounds,
    epoch_plan,
    num_batches_per_epoch,
    padding_share,
    split_plan,
)
from wae_rnf_jax.data.corpora import Corpus, load_corpus


@pytest.fixture(scope="module")
def ptb(data_dir, tmp_path_factory) -> Corpus:
    cache = str(tmp_path_factory.mktemp("cache"))
    return load_corpus("text", path=str(data_dir / "ptb"), cache_dir=cache)


def test_metrics_of_the_corpus(ptb):
    assert ptb.vocabulary.size == 10_002
    assert (len(ptb.train), len(ptb.valid), len(ptb.test)) == (42_068, 3_370, 3_761)
    assert ptb.test.num_words == 78_669
    assert ptb.train.lengths.max() == 82
    assert ptb.vocabulary.words[4:7] == ("the", "N", "of")


def test_no_word_of_the_test_split_is_unseen_but_the_marked_ones(ptb, data_dir):
    lines = (data_dir / "ptb" / "test.txt").read_text().splitlines()
    decoded = [ptb.vocabulary.decode(ptb.test.sentence(i)) for i in range(len(ptb.test))]
    assert decoded == [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("batch_size", [32, 128])
def test_padding_is_at_most_a_tenth(ptb, batch_size):
    lengths = ptb.train.lengths
    bounds = bucket_bounds(lengths, num_buckets=10)
    plan = epoch_plan(lengths, bounds=bounds, batch_size=batch_size, seed=0, epoch=0)
    assert len(plan) == num_batches_per_epoch(42_068, batch_size)
    assert padding_share(lengths, plan) <= 0.10


def test_padding_of_the_test_split_is_at_most_a_tenth(ptb):
    lengths = ptb.test.lengths
    assert padding_share(lengths, split_plan(lengths, num_buckets=10, batch_size=32)) <= 0.10
