"""A trace of some training steps, for `--profile`."""

from pathlib import Path

import jax
import numpy as np

from wae_rnf_jax.data.batches import TrainingBatches, num_batches_per_epoch
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import first_line, warn


def steps_before_trace(lengths: np.ndarray, *, num_left: int, num_traced: int) -> int:
    """Steps to let pass so that none of the traced ones compiles anything.

    >>> steps_before_trace(np.array([5, 5, 9, 5, 9, 9]), num_left=100, num_traced=3)
    3
    >>> steps_before_trace(np.array([5, 5, 9, 5, 9, 9]), num_left=6, num_traced=5)
    1

    Args:
      lengths: what the coming batches are padded to; each length is compiled when it first comes.
      num_left: steps until the run ends, which the traced ones have to fit in.
      num_traced: steps to trace.

    Returns:
      At least 1: the first step compiles.
    """
    first_seen = np.unique(lengths, return_index=True)[1]
    return max(min(int(first_seen.max()) + 1, num_left - num_traced), 1)


def planned_trace(
    directory: Path,
    split: TokenSplit,
    *,
    batch_size: int,
    num_buckets: int,
    seed: int,
    first: int,
    num_steps: int,
    num_traced: int,
) -> "StepTrace":
    """Returns a trace of the steps that compile nothing.

    Args:
      directory: to write it to.
      split: the training sentences; the next three are those of their batches.
      batch_size: B.
      num_buckets: lengths to pad to at most.
      seed: of the run.
      first: steps taken before.
      num_steps: of the whole run.
      num_traced: steps to trace; 0 for none.
    """
    begin = num_steps + 1
    if num_traced and first < num_steps:
        batches = TrainingBatches(split, batch_size=batch_size, num_buckets=num_buckets, seed=seed)
        num_left, epoch = num_steps - first, num_batches_per_epoch(len(split), batch_size)
        lengths = batches.padded_lengths(first, min(num_left, epoch))
        begin = 1 + first + steps_before_trace(lengths, num_left=num_left, num_traced=num_traced)
    return StepTrace(directory, first=begin, last=begin + num_traced - 1)


class StepTrace:
    """JAX's profile of the steps from `first` to `last`; of none where `last` is before it."""

    def __init__(self, directory: Path, *, first: int, last: int) -> None:
        self._directory, self._first, self._last = directory, first, last
        self._running = False
        self._traced = 0

    def begin(self, step: int) -> None:
        """Is called before each step."""
        if step == self._first <= self._last:
            self._running = self._succeeds(lambda: jax.profiler.start_trace(self._directory))

    def end(self, step: int, state) -> None:
        """Is called after each step, with its result, which the last one waits for."""
        self._traced += self._running
        if self._running and step == self._last:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        """Writes the trace if it is still being taken."""
        if self._running:
            self._running = False
            self._traced *= self._succeeds(jax.profiler.stop_trace)

    def report(self) -> str:
        """Returns a line of where the trace lies and how to look at it, if one was asked for."""
        if self._last < self._first:
            return ""
        if not self._traced:
            return "no step was traced: the run ended before a step that compiles nothing"
        files = sorted(
            self._directory.rglob("*.trace.json.gz"), key=lambda path: path.stat().st_mtime
        )
        newest = files[-1] if files else self._directory
        last = self._first + self._traced - 1
        return (
            f"trace of steps {self._first} to {last}: open {newest} at https://ui.perfetto.dev, "
            f"or run `tensorboard --logdir={self._directory}` with its plugin xprof"
        )

    def _succeeds(self, call) -> bool:
        try:
            call()
        except (RuntimeError, OSError) as error:
            warn(f"{self._directory} gets no trace ({first_line(error)}); training continues")
            return False
        return True
