"""Where a run's numbers go: `metrics.jsonl`, TensorBoard, trackers and the progress bar."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax
import numpy as np

from wae_rnf_jax.data.batches import bucket_bounds
from wae_rnf_jax.errors import TrainingFailed, progress_bar, tell, warn
from wae_rnf_jax.runs.sinks import JsonLines, Line, Sink, TensorBoard
from wae_rnf_jax.storage.files import new_file

SHOWN = ("loss", "rec", "kl", "mmd", "rnf", "kl_weight", "sd_m")
COUNTS = ("num_sentences", "num_tokens")
_WITHOUT_TIMES = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
SETTINGS = ("kl_weight",)  # as they are at the step, and not their means over the interval


class NonFiniteLoss(TrainingFailed):
    """The loss or its gradient became infinite or not a number; the message says where."""


class Compilations:
    """Counts the padded lengths that the training step is compiled for, each when it first comes.

    Args:
      lengths: words of each training sentence.
      num_buckets: lengths to pad to at most.
    """

    def __init__(self, lengths: np.ndarray, num_buckets: int) -> None:
        self._number = len(bucket_bounds(lengths, num_buckets=num_buckets))
        self._seen: set[int] = set()

    def next(self, length: int) -> str:
        """Returns what is compiled now, as in "compiling length 1 of 3"; "" for a length known."""
        if length in self._seen:
            return ""
        self._seen.add(length)
        return f"compiling length {len(self._seen)} of {self._number}"


class MetricsLog:
    """Gathers the steps' metrics and writes one line an interval.

    Metrics stay on the device until an interval ends, so that logging never waits for a step. No
    failure of a file, or of the terminal, reaches the caller.

    Where several processes train, one is to `write`; the others look at the same numbers alone.
    `more_sinks` opens what is written to beside the workdir.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        first_step: int,
        num_steps: int,
        interval: int,
        quiet: bool = False,
        write: bool = True,
        more_sinks: Callable[[], tuple[Sink, ...]] = tuple,
    ) -> None:
        self._interval, self._quiet = interval, quiet or not write
        self._pending: list[tuple[int, dict[str, jax.Array]]] = []
        self._since = time.monotonic()
        self.last_good_step = first_step
        self._sinks = (*_sinks(workdir, first_step), *more_sinks()) if write else ()
        self._bar = progress_bar(
            total=num_steps,
            initial=first_step,
            unit="step",
            smoothing=0,  # the rate of all steps, without what is set aside
            disable=self._quiet,
        )

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Takes one step's metrics; `step` counts the steps taken."""
        self._pending.append((step, metrics))
        self._bar.update()
        if step % self._interval == 0:
            self.flush()

    def flush(self) -> None:
        """Writes what is pending; raises NonFiniteLoss at the first number that is not finite.

        The gradient is looked at too: it spoils the parameters one step before the loss shows it,
        which may be the last one.
        """
        if not self._pending:
            return
        rows = [(step, jax.device_get(metrics)) for step, metrics in self._pending]
        self._pending = []
        for step, row in rows:
            for name, what in (("loss", "loss"), ("grad_norm", "gradient")):
                if not np.isfinite(row.get(name, 0.0)):
                    parts = ", ".join(
                        f"{k} {float(v):.4g}" for k, v in row.items() if k not in COUNTS
                    )
                    raise NonFiniteLoss(f"the {what} of step {step} is not finite ({parts})")
        mean = _weighted_means([row for _, row in rows])
        mean.update({name: float(rows[-1][1][name]) for name in SETTINGS if name in mean})
        now = time.monotonic()
        mean["tokens_per_second"] = mean.pop("num_tokens") / max(now - self._since, 1e-9)
        self._since = now
        self.last_good_step = rows[-1][0]
        self.write("train", self.last_good_step, mean)
        shown = {k: f"{mean[k]:.3g}" for k in SHOWN if k in mean}
        self._bar.set_postfix({**shown, "tok/s": f"{mean['tokens_per_second']:.0f}"})

    def write(self, split: str, step: int, values: dict[str, float]) -> None:
        """Appends one line to `metrics.jsonl`, TensorBoard and what is written to beside."""
        for sink in self._sinks:
            sink.put(Line(split, step, dict(values)))

    def wait(self) -> None:
        """Waits, not for long, until the lines are written."""
        for sink in self._sinks:
            sink.wait()

    def expect(self, num_steps: int) -> None:
        """Lets the bar count to another number of steps."""
        self._bar.total = num_steps
        self._bar.refresh()

    def restart_clock(self) -> None:
        """Leaves the time since the last line, spent on validation, out of the rate."""
        self._since = time.monotonic()

    @contextmanager
    def set_aside(self, what: str) -> Iterator[None]:
        """Names on the progress bar what is done meanwhile, whose time is not that of steps.

        Args:
          what: in a few words; where there are none, nothing is set aside.
        """
        begun = time.monotonic()
        if what:
            self._bar.bar_format = _WITHOUT_TIMES
            self._bar.set_description(what)
        yield
        if not what:
            return
        passed = time.monotonic() - begun
        self._since += passed
        if not self._bar.disable:
            self._bar.start_t += passed
            self._bar.last_print_t += passed
            self._bar.bar_format = None
            self._bar.set_description()

    def say(self, text: str) -> None:
        """Prints a line above the progress bar, unless the run is to be quiet."""
        if self._quiet:
            return
        self._bar.clear()
        tell(text)
        self._bar.refresh()

    def close(self) -> None:
        """Closes files and bar."""
        self._bar.close()
        for sink in self._sinks:
            sink.close()


def _sinks(workdir: Path, first_step: int) -> tuple[Sink, ...]:
    lines, board = workdir / "metrics.jsonl", workdir / "tensorboard"
    keep_lines_to(lines, first_step)
    return (
        Sink(str(lines), JsonLines(lines)),
        Sink(str(board), TensorBoard(board, first_step=first_step)),
    )


def keep_lines_to(path: Path, step: int) -> None:
    """Drops the lines of steps after `step`, which a resumed run writes again, and half lines."""
    kept = []
    try:
        for line in path.read_text(errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # cut short by a kill or a full disk
                if json.loads(line)["step"] <= step:
                    kept.append(line)
        with new_file(path) as file:
            file.write("".join(line + "\n" for line in kept).encode())
    except FileNotFoundError:
        return
    except OSError as error:
        warn(f"{path} still contains lines of steps after {step} ({error.strerror})")


def _weighted_means(rows: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Means over sentences of several steps; num_tokens is summed."""
    counts = np.array([row["num_sentences"] for row in rows], np.float64)
    weights = counts / max(counts.sum(), 1)
    names = [name for name in rows[0] if name not in COUNTS]
    means = {name: float(weights @ np.array([row[name] for row in rows])) for name in names}
    return {**means, "num_tokens": float(sum(row["num_tokens"] for row in rows))}
