"""Which sentences go into which batch, and what length they are padded to.

XLA compiles one program for each shape, so sentences are padded to a few lengths, the bucket
bounds, chosen to make the padding least.

Shapes: B batch size, L the length a batch is padded to, N sentences of the split.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class EpochPlan:
    """The batches of one pass over a split.

    Attributes:
        rows: sentence numbers, int64 [batches, B]; −1 for rows of padding, which are last.
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
    distinct, counts = np.unique(lengths, return_counts=True)
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
    shuffled = generator.permutation(len(lengths))
    buckets = np.searchsorted(bounds, lengths[shuffled])
    order = shuffled[np.argsort(buckets, kind="stable")]
    rows, longest = _chunks(order, lengths, batch_size)
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
    rows, longest = _chunks(np.argsort(lengths, kind="stable"), lengths, batch_size)
    bounds = bucket_bounds(longest, num_buckets=num_buckets)
    return EpochPlan(rows, _bounds_of(longest, bounds))


def _bounds_of(longest: np.ndarray, bounds: Sequence[int]) -> np.ndarray:
    return np.asarray(bounds)[np.searchsorted(bounds, longest)]


def _chunks(
    order: np.ndarray, lengths: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts rows in rising order of length into batches, of which the first takes the remainder.

    Returns:
        The rows of each batch, and the length of its longest sentence.
    """
    num_batches = num_batches_per_epoch(len(order), batch_size)
    short = num_batches * batch_size - len(order)
    first = order[: batch_size - short]
    rows = np.concatenate([first, np.full(short, -1, order.dtype), order[len(first) :]])
    rows = rows.reshape(num_batches, batch_size)
    return rows, np.where(rows < 0, 0, lengths[rows]).max(axis=1)


def padding_share(lengths: np.ndarray, plan: EpochPlan) -> float:
    """Share of a plan's positions that hold no word, rows of padding included.

    Args:
        lengths: number of words of each sentence, integer [N].
        plan: batches of these sentences.

    Returns:
        A number from 0 to 1.
    """
    positions = plan.rows.shape[1] * int(plan.bounds.sum())
    words = int(np.where(plan.rows < 0, 0, lengths[plan.rows]).sum())
    return 1 - words / positions
