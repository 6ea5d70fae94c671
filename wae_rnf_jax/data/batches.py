"""Batches of sentences of like length.

XLA compiles one program for each shape, so sentences are padded to a few lengths, the bucket
bounds, chosen to make the padding least. Batches are planned as row numbers; the words are read
only when a batch is asked for. Which sentences the k-th batch holds is a function of the seed and
of k, so that one integer resumes a run.

Shapes: B batch size, L the length a batch is padded to, N sentences of the split.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.sequences import PAD_ID

__all__ = [
    "Batch",
    "EpochPlan",
    "TrainingBatches",
    "bucket_bounds",
    "epoch_plan",
    "num_batches_per_epoch",
    "padding_share",
    "split_batches",
    "split_plan",
    "training_batches",
]

# tokens int32 [B, L], lengths int32 [B], index int32 [B], where bool [B]; see `_batch`.
Batch = dict[str, np.ndarray]

# Rows are read from mapped files in about 0.1 ms a batch, so that few threads keep any device busy.
_READ_THREADS = 2
_PREFETCHED_BATCHES = 16


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


def _batch(split: TokenSplit, rows: np.ndarray, bound: int) -> Batch:
    """The batch of given sentences; its arrays are as the module's docstring says."""
    tokens = np.full((len(rows), bound), PAD_ID, np.int32)
    lengths = np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows.tolist()):
        if row >= 0:
            ids = split.sentence(row)
            tokens[i, : len(ids)] = ids
            lengths[i] = len(ids)
    where = rows >= 0
    return {
        "tokens": tokens,
        "lengths": lengths,
        # Rows of padding are numbered after the split's, so that no two rows share a random key.
        "index": np.where(where, rows, len(split) + np.arange(len(rows))).astype(np.int32),
        "where": where,
    }


def _shard(batch_size: int, process_index: int, process_count: int) -> slice:
    """The rows of each global batch that are this process's."""
    if not 0 <= process_index < process_count:
        raise InputError(f"process {process_index} of {process_count}")
    if batch_size % process_count:
        raise InputError(
            f"batch_size must be a multiple of the number of processes, {process_count}, "
            f"not {batch_size}"
        )
    rows = batch_size // process_count
    return slice(process_index * rows, (process_index + 1) * rows)


class TrainingBatches:
    """The endless sequence of a run's training batches, by random access.

    Item k is batch k mod n of epoch ⌊k / n⌋, n batches an epoch. Safe for use by many threads.
    """

    def __init__(
        self,
        split: TokenSplit,
        *,
        batch_size: int,
        num_buckets: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        """Plans nothing yet; each epoch is planned when its first batch is asked for.

        Args:
            split: the sentences.
            batch_size: B, over all processes.
            num_buckets: how many lengths to pad to at most.
            seed: of the order of sentences and batches.
            process_index: which process this is.
            process_count: of how many; each gets an equal, contiguous part of every batch's rows.

        Raises:
            InputError: if a number is out of range, or B not a multiple of ``process_count``.
        """
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._rows = _shard(batch_size, process_index, process_count)
        self._lengths = split.lengths
        self._bounds = bucket_bounds(self._lengths, num_buckets=num_buckets)
        self._num_batches = num_batches_per_epoch(len(split), batch_size)
        self._plans: dict[int, EpochPlan] = {}
        self._lock = threading.Lock()

    def plan(self, epoch: int) -> EpochPlan:
        """Plan of an epoch; the last two asked for are kept, as threads read across their border.

        Args:
            epoch: its number.

        Returns:
            The plan over all processes.
        """
        with self._lock:
            if epoch not in self._plans:
                plan = epoch_plan(
                    self._lengths,
                    bounds=self._bounds,
                    batch_size=self._batch_size,
                    seed=self._seed,
                    epoch=epoch,
                )
                while len(self._plans) > 1:
                    self._plans.pop(next(iter(self._plans)))
                self._plans[epoch] = plan
            return self._plans[epoch]

    def __len__(self) -> int:
        """More batches than any run takes; Grain asks for a number."""
        return 1 << 62

    def __getitem__(self, k: int) -> Batch:
        """Batch k, this process's rows.

        Args:
            k: global step, from 0.

        Returns:
            ``tokens`` int32 [B, L], ``lengths`` int32 [B], ``index`` int32 [B] and ``where``
            bool [B], with B over ``process_count``.
        """
        epoch, position = divmod(int(k), self._num_batches)
        plan = self.plan(epoch)
        return _batch(self._split, plan.rows[position, self._rows], int(plan.bounds[position]))


def training_batches(
    split: TokenSplit,
    *,
    batch_size: int,
    num_buckets: int,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Endless training batches, read ahead by Grain's threads.

    Args:
        split: the sentences.
        batch_size: B, over all processes.
        num_buckets: how many lengths to pad to at most.
        seed: of the order of sentences and batches.
        start: global step to begin at; the batches are those an uninterrupted run would see.
        process_index: which process this is.
        process_count: of how many.

    Returns:
        An iterator over batches as `TrainingBatches` gives them; it never ends.

    Raises:
        InputError: as `TrainingBatches`.
    """
    import grain

    batches = TrainingBatches(
        split,
        batch_size=batch_size,
        num_buckets=num_buckets,
        seed=seed,
        process_index=process_index,
        process_count=process_count,
    )
    options = grain.ReadOptions(num_threads=_READ_THREADS, prefetch_buffer_size=_PREFETCHED_BATCHES)
    dataset = grain.MapDataset.source(batches)[start:].to_iter_dataset(options)
    return iter(dataset)


def split_batches(
    split: TokenSplit,
    *,
    batch_size: int,
    num_buckets: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Batches that hold each sentence of a split exactly once, in order of length.

    Args:
        split: the sentences.
        batch_size: B, over all processes; every batch has B rows, those without a sentence marked
            False in ``where``.
        num_buckets: how many lengths to pad to at most.
        process_index: which process this is.
        process_count: of how many.

    Returns:
        An iterator over ⌈N / B⌉ batches.

    Raises:
        InputError: if a number is out of range, or B not a multiple of ``process_count``.
    """
    shard = _shard(batch_size, process_index, process_count)
    plan = split_plan(split.lengths, num_buckets=num_buckets, batch_size=batch_size)
    return map(lambda rows, bound: _batch(split, rows[shard], int(bound)), plan.rows, plan.bounds)
