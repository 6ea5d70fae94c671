"""Batches as arrays: contents, order, resumption, sharing among processes, threads."""

import itertools
import threading
import time

import numpy as np
import pytest

from wae_rnf_jax.data.batches import (
    TrainingBatches,
    num_batches_per_epoch,
    split_batches,
    training_batches,
)
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.special_ids import PAD_ID

SETTINGS = {"batch_size": 8, "num_buckets": 4, "seed": 3}
NUM_SENTENCES = 101


@pytest.fixture(scope="module")
def split() -> TokenSplit:
    generator = np.random.default_rng(0)
    sentences = [
        generator.integers(4, 300, size=generator.integers(1, 20)) for _ in range(NUM_SENTENCES)
    ]
    return TokenSplit.from_sentences(sentences, vocab_size=300)


def assert_same(batch, other):
    assert batch.keys() == other.keys()
    for name in batch:
        np.testing.assert_array_equal(batch[name], other[name])


def assert_well_formed(batch, split, rows=8):
    tokens, lengths, index, where = (
        batch[name] for name in ("tokens", "lengths", "index", "where")
    )
    assert tokens.dtype == lengths.dtype == index.dtype == np.int32
    assert where.dtype == bool
    assert tokens.shape[0] == len(lengths) == len(index) == len(where) == rows
    for i in range(rows):
        words = split.sentence(index[i]).tolist() if where[i] else []
        assert tokens[i].tolist() == words + [PAD_ID] * (tokens.shape[1] - len(words))
        assert lengths[i] == len(words)
        assert where[i] == (index[i] < len(split))
    # No two rows, padded ones included, may share what their random keys are made of.
    assert len(set(index.tolist())) == rows


def test_split_batches_hold_each_sentence_once(split):
    batches = list(split_batches(split, batch_size=8, num_buckets=4))
    for batch in batches:
        assert_well_formed(batch, split)
    assert len(batches) == num_batches_per_epoch(NUM_SENTENCES, 8)
    seen = np.concatenate([batch["index"][batch["where"]] for batch in batches])
    assert sorted(seen) == list(range(NUM_SENTENCES))
    assert (np.diff(split.lengths[seen]) >= 0).all()
    assert len({batch["tokens"].shape for batch in batches}) <= 4


def test_an_epoch_of_training_batches_holds_each_sentence_once(split):
    num_batches = num_batches_per_epoch(NUM_SENTENCES, 8)
    stream = training_batches(split, **SETTINGS)
    for _ in range(2):
        epoch = list(itertools.islice(stream, num_batches))
        for batch in epoch:
            assert_well_formed(batch, split)
        seen = np.concatenate([batch["index"][batch["where"]] for batch in epoch])
        assert sorted(seen) == list(range(NUM_SENTENCES))
    assert len({batch["tokens"].shape for batch in epoch}) <= 4


@pytest.mark.parametrize("start", [0, 1, 12, 13, 30])
def test_resumed_stream_is_the_uninterrupted_one(split, start):
    whole = TrainingBatches(split, **SETTINGS)
    resumed = training_batches(split, **SETTINGS, start=start)
    for k, batch in zip(range(start, start + 30), resumed, strict=False):
        assert_same(batch, whole[k])


def test_any_batch_can_be_had_in_any_order(split):
    first, second = TrainingBatches(split, **SETTINGS), TrainingBatches(split, **SETTINGS)
    order = [50, 3, 1_000_000_007, 0, 14]
    for k in order:
        assert_same(first[k], second[k])
    assert_same(first[order[0]], TrainingBatches(split, **SETTINGS)[order[0]])


def test_seed_changes_the_order(split):
    one = TrainingBatches(split, **SETTINGS)
    other = TrainingBatches(split, **{**SETTINGS, "seed": 4})
    assert any(one[k]["index"].tolist() != other[k]["index"].tolist() for k in range(3))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_out_the_rows_of_every_batch(split, count):
    whole = TrainingBatches(split, **SETTINGS)
    shards = [
        TrainingBatches(split, **SETTINGS, process_index=i, process_count=count)
        for i in range(count)
    ]
    for k in range(20):
        parts = [shard[k] for shard in shards]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        assert_same(joined, whole[k])
        assert all(len(part["where"]) == 8 // count for part in parts)


def test_processes_share_out_a_split(split):
    whole = split_batches(split, batch_size=8, num_buckets=4)
    shards = [
        split_batches(split, batch_size=8, num_buckets=4, process_index=i, process_count=2)
        for i in range(2)
    ]
    for batch, *parts in zip(whole, *shards, strict=True):
        joined = {name: np.concatenate([part[name] for part in parts]) for name in batch}
        assert_same(joined, batch)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batch_size": 0}, "batch_size"),
        ({"num_buckets": 0}, "num_buckets"),
        ({"process_count": 3}, "multiple of the number of processes"),
        ({"process_index": 1, "process_count": 1}, "process 1 of 1"),
    ],
)
def test_bad_settings_are_refused(split, settings, message):
    with pytest.raises(InputError, match=message):
        training_batches(split, **{**SETTINGS, **settings})
    with pytest.raises(InputError, match=message):
        split_batches(split, **{"batch_size": 8, "num_buckets": 4, **settings})


def test_one_sentence_makes_endless_batches():
    split = TokenSplit.from_sentences([[4, 5]], vocab_size=6)
    for batch in itertools.islice(training_batches(split, **SETTINGS), 3):
        assert_well_formed(batch, split)
        assert batch["where"].sum() == 1


def test_split_in_memory_and_on_disk_give_the_same_batches(split, tmp_path):
    split.save(tmp_path / "train", vocab_size=300)
    mapped = TrainingBatches(TokenSplit.load(tmp_path / "train"), **SETTINGS)
    whole = TrainingBatches(split, **SETTINGS)
    for k in range(5):
        assert_same(mapped[k], whole[k])


def test_abandoned_stream_leaves_no_thread(split):
    before = set(threading.enumerate())
    stream = training_batches(split, **SETTINGS)
    next(stream)
    del stream
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(threading.enumerate()) - before
