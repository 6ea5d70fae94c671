"""What the benchmarks share: timing side by side, peak memory, tables, JSON.

A machine's speed drifts, and other programs share it. So the things to compare take turns, round
after round, and a ratio is the median of the rounds' ratios, never a quotient of numbers taken at
different times. Beside the wall time stands the processor time of all threads, which neighbors
disturb less.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wae_rnf_jax.data.workers import num_cores

Row = dict[str, str | float | int | None]

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "torch")


class Samples(NamedTuple):
    """Seconds of each round, [rounds]."""

    wall: np.ndarray
    cpu: np.ndarray

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return float(np.median(self.wall))

    @property
    def cpu_seconds(self) -> float:
        """Median processor time, all threads."""
        return float(np.median(self.cpu))


def interleaved(
    candidates: Mapping[str, Callable[[], object]], *, repetitions: int, warm_ups: int = 1
) -> dict[str, Samples]:
    """Runs the candidates in turn.

    Args:
      candidates: each finishes its work before it returns.
      repetitions: timed rounds.
      warm_ups: rounds before them, not timed: compiling, filling of caches.

    Returns:
      The times of each.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for repetition in range(-warm_ups, repetitions):
        for name, candidate in candidates.items():
            wall, cpu = time.perf_counter(), time.process_time()
            candidate()
            taken = time.perf_counter() - wall, time.process_time() - cpu
            if repetition >= 0:
                times[name].append(taken)
    return {name: Samples(*np.array(taken).T) for name, taken in times.items()}


def speedup(samples: Samples, yardstick: Samples) -> tuple[float, float]:
    """How many times faster than the yardstick, by wall and by processor time: median of rounds."""
    return (
        float(np.median(yardstick.wall / samples.wall)),
        float(np.median(yardstick.cpu / samples.cpu)),
    )


def reset_peak_memory() -> None:
    """Forgets the largest memory so far, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """Largest resident memory of this process, MiB, since `reset_peak_memory` on Linux."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def regressed_on_length(values: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, float]:
    """What the log of the predicted tokens does not tell of values.

    Args:
      values: [N], of sentences.
      lengths: [N], words of each.

    Returns:
      The residuals [N] of a regression on log T, T = words + 1, and its slope.
    """
    log_length = np.log(lengths + 1.0)
    design = np.stack([np.ones_like(log_length), log_length], axis=1)
    slope = np.linalg.lstsq(design, values, rcond=None)[0]
    return values - design @ slope, float(slope[1])


def parser(description: str) -> argparse.ArgumentParser:
    """The flags that every benchmark has."""
    flags = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    flags.add_argument("--output", type=Path, help="JSON file to write")
    flags.add_argument("--repetitions", type=int, default=5, help="timed rounds")
    flags.add_argument("--smoke", action="store_true", help="tiny sizes: does it run?")
    return flags


def environment() -> dict[str, Any]:
    """What the numbers depend on beside the code."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "cores": num_cores(),
        "load_average": os.getloadavg()[0],
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()):
            return found[1]
    return platform.processor() or platform.machine()


def report(
    title: str, rows: Sequence[Row], *, notes: Sequence[str] = (), output: Path | None
) -> None:
    """Prints a table and writes the JSON file if one is asked for.

    Args:
      title: of the table.
      rows: named cells; a row may leave some out.
      notes: printed below.
      output: the file, or None.
    """
    where = environment()
    print(f"\n{title} ({where['cores']} cores, load {where['load_average']:.1f})\n")
    print(table(rows))
    for note in notes:
        print(note)
    if output is not None:
        content = {"title": title, "environment": where, "rows": list(rows), "notes": list(notes)}
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(content, indent=2) + "\n")


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, its columns aligned."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_shown(row[name]) if name in row else "" for name in names] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "| " + " | ".join("-" * w for w in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def _shown(value: str | float | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
