"""Batches of sentences of like length, as arrays.

Batches are planned as row numbers (see `buckets`); the words are read, from mapped files, when a
batch is asked for. Which sentences the k-th training batch holds is a function of the seed and of
k, so that one integer resumes a run.

Shapes: B batch size, L the length a batch is padded to.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from wae_rnf_jax.data.buckets import (
    EpochPlan,
    bucket_bounds,
    epoch_plan,
    num_batches_per_epoch,
    padding_share,
    split_plan,
)
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.special_ids import PAD_ID

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

# tokens int32 [B, L]: word ids, padded with <pad>; no <bos>, no <eos>
# lengths int32 [B]: number of words, 0 in rows of padding
# index int32 [B]: number of the sentence in its split, from N on in rows of padding
# where bool [B]: False in rows of padding
Batch = dict[str, np.ndarray]

# Rows are read from mapped files in about 0.1 ms a batch, so that few threads keep any device busy.
_READ_THREADS = 2
_PREFETCHED_BATCHES = 16


def _batch(split: TokenSplit, batch_rows: np.ndarray, bound: int, shard: slice) -> Batch:
    """This process's rows of a batch."""
    rows = batch_rows[shard]
    tokens = np.full((len(rows), bound), PAD_ID, np.int32)
    lengths = np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows.tolist()):
        if row >= 0:
            ids = split.sentence(row)
            tokens[i, : len(ids)] = ids
            lengths[i] = len(ids)
    where = rows >= 0
    # Rows of padding are numbered after the split's, so that no two rows share a random key.
    padding = len(split) + np.arange(len(batch_rows))[shard]
    return {
        "tokens": tokens,
        "lengths": lengths,
        "index": np.where(where, rows, padding).astype(np.int32),
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
                while len(self._plans) > 1:  # before the next one takes as much memory
                    self._plans.pop(next(iter(self._plans)))
                self._plans[epoch] = epoch_plan(
                    self._lengths,
                    bounds=self._bounds,
                    batch_size=self._batch_size,
                    seed=self._seed,
                    epoch=epoch,
                )
            return self._plans[epoch]

    def padded_lengths(self, start: int, count: int) -> np.ndarray:
        """What the batches from one on are padded to.

        Args:
          start: the first batch's number.
          count: of how many batches, at most an epoch's.

        Returns:
          L of each, int64 [count].
        """
        places = (divmod(k, self._num_batches) for k in range(start, start + count))
        return np.array([self.plan(epoch).bounds[position] for epoch, position in places])

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
        return _batch(self._split, plan.rows[position], int(plan.bounds[position]), self._rows)


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
    return map(lambda rows, bound: _batch(split, rows, int(bound), shard), plan.rows, plan.bounds)
