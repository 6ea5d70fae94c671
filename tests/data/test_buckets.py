"""Bucket bounds and batch plans, at the level of row numbers."""

import itertools

import numpy as np
import pytest

from wae_rnf_jax.data.buckets import (
    bucket_bounds,
    epoch_plan,
    num_batches_per_epoch,
    padding_share,
    split_plan,
)
from wae_rnf_jax.errors import InputError


@pytest.fixture
def lengths() -> np.ndarray:
    return np.random.default_rng(0).geometric(0.08, size=997)


def padding(lengths: np.ndarray, bounds) -> int:
    padded = np.asarray(bounds)[np.searchsorted(bounds, lengths)]
    return int((padded - lengths).sum())


@pytest.mark.parametrize("num_buckets", [1, 2, 3, 4])
def test_bounds_pad_least_of_all_choices(num_buckets):
    lengths = np.random.default_rng(num_buckets).choice([1, 2, 5, 6, 9, 14, 15, 30], size=60)
    bounds = bucket_bounds(lengths, num_buckets=num_buckets)
    candidates = itertools.combinations(np.unique(lengths), num_buckets)
    least = min(padding(lengths, choice) for choice in candidates if choice[-1] == lengths.max())
    assert padding(lengths, bounds) == least
    assert len(bounds) == num_buckets
    assert bounds == sorted(bounds)


def test_bounds_are_no_more_than_the_lengths_there_are():
    assert bucket_bounds(np.array([3, 3, 7]), num_buckets=10) == [3, 7]
    assert bucket_bounds(np.array([10_000]), num_buckets=10) == [10_000]


@pytest.mark.parametrize("num_buckets", [0, -1])
def test_too_few_buckets_are_refused(num_buckets):
    with pytest.raises(InputError, match="num_buckets"):
        bucket_bounds(np.array([3]), num_buckets=num_buckets)


def test_no_sentences_are_refused():
    with pytest.raises(ValueError, match="without sentences"):
        bucket_bounds(np.array([], np.int64), num_buckets=2)


def plans(lengths: np.ndarray, batch_size: int):
    bounds = bucket_bounds(lengths, num_buckets=6)
    yield epoch_plan(lengths, bounds=bounds, batch_size=batch_size, seed=0, epoch=0)
    yield split_plan(lengths, num_buckets=6, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 997, 2000])
def test_plans_hold_each_sentence_once_and_one_short_batch(lengths, batch_size):
    for plan in plans(lengths, batch_size):
        rows = plan.rows[plan.rows >= 0]
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(lengths)))
        assert plan.rows.shape == (num_batches_per_epoch(len(lengths), batch_size), batch_size)
        short = (plan.rows < 0).any(axis=1)
        assert short.sum() == (len(lengths) % batch_size > 0)
        # Rows of padding come last.
        assert (np.diff((plan.rows < 0).astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize("batch_size", [7, 32])
def test_batches_are_padded_to_the_least_bound_that_fits(lengths, batch_size):
    for plan in plans(lengths, batch_size):
        longest = np.where(plan.rows < 0, 0, lengths[plan.rows]).max(axis=1)
        bounds = np.unique(plan.bounds)
        assert len(bounds) <= 6
        np.testing.assert_array_equal(plan.bounds, bounds[np.searchsorted(bounds, longest)])


def test_plan_is_a_function_of_seed_and_epoch(lengths):
    bounds = bucket_bounds(lengths, num_buckets=6)

    def rows(seed, epoch):
        return epoch_plan(lengths, bounds=bounds, batch_size=32, seed=seed, epoch=epoch).rows

    np.testing.assert_array_equal(rows(1, 2), rows(1, 2))
    assert (rows(1, 2) != rows(1, 3)).any()
    assert (rows(1, 2) != rows(2, 2)).any()
    assert (rows(1, 2) != rows(2, 1)).any()


def test_batches_and_their_sentences_are_shuffled(lengths):
    bounds = bucket_bounds(lengths, num_buckets=6)
    first, second = (
        epoch_plan(lengths, bounds=bounds, batch_size=32, seed=0, epoch=epoch) for epoch in (0, 1)
    )
    assert (np.diff(first.bounds) < 0).any()
    together = [{frozenset(batch) for batch in plan.rows.tolist()} for plan in (first, second)]
    assert len(together[0] & together[1]) <= 1


def test_split_plan_rises_in_length(lengths):
    plan = split_plan(lengths, num_buckets=6, batch_size=32)
    assert (np.diff(lengths[plan.rows[plan.rows >= 0]]) >= 0).all()


def test_padding_share_counts_rows_of_padding():
    lengths = np.array([2, 2, 4])
    plan = split_plan(lengths, num_buckets=2, batch_size=2)
    assert plan.rows.tolist() == [[0, -1], [1, 2]]
    assert plan.bounds.tolist() == [2, 4]
    assert padding_share(lengths, plan) == pytest.approx(1 - 8 / 12)


def test_more_buckets_pad_less(lengths):
    shares = [
        padding_share(lengths, split_plan(lengths, num_buckets=n, batch_size=16))
        for n in (1, 2, 4, 8)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.2 < 0.6 < shares[0]


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_is_checked(batch_size):
    with pytest.raises(InputError, match="batch_size"):
        num_batches_per_epoch(10, batch_size)
