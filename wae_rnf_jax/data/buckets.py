"""Which sentences go into which batch, and what length they are padded to.

XLA compiles one program for each shape, so sentences are padded to a few lengths, the bucket
bounds, chosen to make the padding least.

A split may have more sentences than memory has room for several numbers of each: row numbers take
32 bits where those do, and temporary arrays are of a block of sentences, not of all.

Shapes: B batch size, L the length a batch is padded to, N sentences of the split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wae_rnf_jax.errors import InputError

__all__ = [
    "EpochPlan",
    "bucket_bounds",
    "epoch_plan",
    "num_batches_per_epoch",
    "padding_share",
    "split_plan",
]

_BLOCK = 1 << 20  # sentences at once


@dataclass(frozen=True)
class EpochPlan:
    """The batches of one pass over a split.

    Attributes:
      rows: sentence numbers, int32 or int64 [batches, B]; −1 for rows of padding, which are last.
      bounds: L, the length each batch is padded to, int64 [batches].
    """

    rows: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.rows)


def bucket_bounds(lengths: np.ndarray, *, num_buckets: int) -> list[int]:
    """Lengths to pad to that make the padding of a split least, by dynamic programming.

    >>> bucket_bounds(np.array([3, 3, 4, 9, 10]), num_buckets=2)
    [4, 10]

    Args:
      lengths: number of words of each sentence, integer [N].
      num_buckets: how many bounds at most.

    Returns:
      Rising lengths, at most ``num_buckets``; the last is the longest sentence's.

    Raises:
      InputError: if ``num_buckets`` is below 1.
      ValueError: if there is no sentence.
    """
    if num_buckets < 1:
        raise InputError(f"num_buckets must be at least 1, not {num_buckets}")
    if len(lengths) == 0:
        raise ValueError("no bucket bounds without sentences")
    distinct, counts = _distinct(lengths)
    # shorter[j] sentences have one of the j shortest lengths.
    shorter = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: padded positions of the sentences of the j shortest lengths with the best bounds.
    cost = np.where(np.arange(len(distinct) + 1) == 0, 0.0, np.inf)
    choices = []
    for _ in range(min(num_buckets, len(distinct))):
        following = np.zeros_like(cost)
        choice = np.zeros(len(cost), np.int64)
        for j in range(1, len(cost)):
            candidates = cost[:j] + distinct[j - 1] * (shorter[j] - shorter[:j])
            choice[j] = np.argmin(candidates)
            following[j] = candidates[choice[j]]
        cost = following
        choices.append(choice)
    bounds, j = [], len(distinct)
    for choice in reversed(choices):
        if j == 0:
            break
        bounds.append(int(distinct[j - 1]))
        j = choice[j]
    return bounds[::-1]


def num_batches_per_epoch(num_sentences: int, batch_size: int) -> int:
    """Batches of one pass: ⌈N / B⌉, only one of which may be short.

    Args:
      num_sentences: N.
      batch_size: B.

    Returns:
      Their number.

    Raises:
      InputError: if the batch size is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, not {batch_size}")
    return -(-num_sentences // batch_size)


def epoch_plan(
    lengths: np.ndarray, *, bounds: Sequence[int], batch_size: int, seed: int, epoch: int
) -> EpochPlan:
    """Batches of one training epoch, each sentence once, drawn by seed and epoch alone.

    The sentences of a bucket are shuffled; those that do not fill its last batch are promoted to
    the next longer bucket; the batches are shuffled. The one short batch, if any, is of the
    shortest bucket, where its empty rows cost least.

    Args:
      lengths: number of words of each sentence, integer [N].
      bounds: from `bucket_bounds`.
      batch_size: B.
      seed: seed of the run.
      epoch: number of the epoch.

    Returns:
      The plan, of `num_batches_per_epoch` batches.
    """
    generator = np.random.default_rng([seed, epoch])
    shuffled = _row_numbers(len(lengths))
    generator.shuffle(shuffled)
    rows, longest = _chunks(_sorted_rows(shuffled, lengths, bounds), lengths, batch_size)
    batches = generator.permutation(len(rows))
    return EpochPlan(rows[batches], _bounds_of(longest, bounds)[batches])


def split_plan(lengths: np.ndarray, *, num_buckets: int, batch_size: int) -> EpochPlan:
    """Batches that hold each sentence of a split once, in order of length.

    The batches being fixed, their bounds are those that pad these batches least.

    Args:
      lengths: number of words of each sentence, integer [N].
      num_buckets: how many lengths to pad to at most.
      batch_size: B.

    Returns:
      The plan, of `num_batches_per_epoch` batches.
    """
    rows = _sorted_rows(_row_numbers(len(lengths)), lengths, _distinct(lengths)[0])
    rows, longest = _chunks(rows, lengths, batch_size)
    bounds = bucket_bounds(longest, num_buckets=num_buckets)
    return EpochPlan(rows, _bounds_of(longest, bounds))


def _bounds_of(longest: np.ndarray, bounds: Sequence[int]) -> np.ndarray:
    return np.asarray(bounds)[np.searchsorted(bounds, longest)]


def _blocks(size: int, step: int = _BLOCK) -> Iterator[slice]:
    return (slice(begin, begin + step) for begin in range(0, size, step))


def _distinct(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different lengths, rising, and how many sentences have each."""
    values, counts = np.zeros(0, lengths.dtype), np.zeros(0, np.int64)
    for block in _blocks(len(lengths)):
        more, more_counts = np.unique(lengths[block], return_counts=True)
        values, places = np.unique(np.concatenate([values, more]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, more_counts])).astype(np.int64)
    return values, counts


def _row_numbers(size: int) -> np.ndarray:
    """0 … N − 1 in the smallest signed type there is a choice of."""
    return np.arange(size, dtype=np.int32 if size <= np.iinfo(np.int32).max else np.int64)


def _sorted_rows(rows: np.ndarray, lengths: np.ndarray, bounds: Sequence[int]) -> np.ndarray:
    """Rows by the bucket that their lengths fall into, those of a bucket in the order given."""
    counts = np.zeros(len(bounds), np.int64)
    for block in _blocks(len(rows)):
        counts += np.bincount(np.searchsorted(bounds, lengths[block]), minlength=len(bounds))
    places = np.cumsum(counts) - counts  # where the next row of each bucket goes
    ordered = np.empty_like(rows)
    for block in _blocks(len(rows)):
        some = rows[block]
        buckets = np.searchsorted(bounds, lengths[some])
        order = np.argsort(buckets, kind="stable")
        counts = np.bincount(buckets, minlength=len(bounds))
        begins = np.cumsum(counts) - counts  # of each bucket among the block's sorted rows
        targets = np.repeat(places - begins, counts) + np.arange(len(some))
        ordered[targets] = some[order]
        places += counts
    return ordered


def _chunks(
    order: np.ndarray, lengths: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts rows in rising order of length into batches, of which the first takes the remainder.

    Returns:
      The rows of each batch, and the length of its longest sentence.
    """
    num_batches = num_batches_per_epoch(len(order), batch_size)
    first = len(order) - (num_batches - 1) * batch_size
    rows = np.full((num_batches, batch_size), -1, order.dtype)
    flat = rows.reshape(-1)
    flat[:first] = order[:first]
    flat[batch_size:] = order[first:]
    longest = np.zeros(num_batches, lengths.dtype)
    for block in _batch_blocks(rows):
        some = rows[block]
        longest[block] = np.where(some < 0, 0, lengths[some]).max(axis=1)
    return rows, longest


def _batch_blocks(rows: np.ndarray) -> Iterator[slice]:
    return _blocks(len(rows), max(1, _BLOCK // rows.shape[1]))


def padding_share(lengths: np.ndarray, plan: EpochPlan) -> float:
    """Share of a plan's positions that hold no word, rows of padding included.

    Args:
      lengths: number of words of each sentence, integer [N].
      plan: batches of these sentences.

    Returns:
      A number from 0 to 1.
    """
    positions = plan.rows.shape[1] * int(plan.bounds.sum())
    words = 0
    for block in _batch_blocks(plan.rows):
        some = plan.rows[block]
        words += int(np.where(some < 0, 0, lengths[some]).sum())
    return 1 - words / positions
