"""Counting and encoding a part: cut, labelled and empty sentences, in blocks of any size."""

from collections import Counter

import numpy as np
import pytest

from wae_rnf_jax.data import shards
from wae_rnf_jax.data.encoding import counted_words, encoded_shard
from wae_rnf_jax.data.shards import RecordShard
from wae_rnf_jax.data.text import Record
from wae_rnf_jax.data.vocabulary import Vocabulary

RECORDS = [
    Record("b a a c b", "x", -1.0),
    Record("", "none", -2.0),
    Record("d", "y", -3.0),
    Record("a <unk> e", "x", -4.0),
    Record(" ", "none", -5.0),
]
SHARD = RecordShard(lambda: RECORDS)


@pytest.fixture(params=[1, 2, 100], autouse=True)
def block_size(request, monkeypatch):
    monkeypatch.setattr(shards, "_BLOCK_RECORDS", request.param)


@pytest.mark.parametrize("max_words", [0, 1, 2, 9])
def test_words_are_counted_in_order_of_first_appearance(max_words):
    words = [word for record in RECORDS for word in record.text.split()[: max_words or None]]
    assert list(counted_words(SHARD, max_words=max_words).items()) == list(Counter(words).items())


@pytest.mark.parametrize("max_words", [0, 1, 2, 9])
def test_sentences_are_encoded_as_the_vocabulary_does(max_words):
    vocabulary = Vocabulary.from_sentences(["a b c a"])
    found = encoded_shard(SHARD, vocabulary=vocabulary, max_words=max_words)
    expected = [vocabulary.encode(r.text)[: max_words or None] for r in RECORDS if r.text.split()]
    assert found.tokens.tolist() == [word for ids in expected for word in ids]
    assert found.lengths.tolist() == [len(ids) for ids in expected]
    assert found.skipped == 2
    assert [found.label_names[i] for i in found.labels] == ["x", "y", "x"]
    assert found.label_names == ("x", "y")
    assert found.log_probs.tolist() == [-1.0, -3.0, -4.0]
    assert (found.tokens.dtype, found.lengths.dtype) == (np.uint8, np.int32)


def test_a_part_without_sentences_is_empty():
    found = encoded_shard(
        RecordShard(lambda: []), vocabulary=Vocabulary.from_sentences(["a"]), max_words=0
    )
    assert (len(found.tokens), len(found.lengths), found.skipped) == (0, 0, 0)
    assert counted_words(RecordShard(lambda: []), max_words=0) == {}
