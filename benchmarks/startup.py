"""Start-up: seconds from the command to the first step, and compilations of a run.

python -m benchmarks.startup [--system=wae_rnf] [--output=FILE.json]

Runs `wae-rnf train` on the built-in corpus three times, each in a process and a work directory of
its own: first with an empty cache of compiled programs, then with what the first left there; the
third stands beside them, a process that only imports what training imports. The corpus is prepared
before. A run of one epoch meets every length there is: its steps are compiled at most once each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import measurement
from benchmarks.measurement import Row

_ROOT = Path(__file__).resolve().parents[1]
_COMPILED = "/jax/core/compile/backend_compile_duration"
_FROM_CACHE = "/jax/compilation_cache/cache_hits"
_STEPS = ("train_step", "eval_step")


def watched_command(arguments: list[str]) -> dict[str, Any]:
    """Runs `wae-rnf` in this process.

    Args:
      arguments: of the command.

    Returns:
      exit_code; first_step, the time of day when the first training step was done; cpu_seconds of
      this process until then; compilations, how often each function's program was compiled or
      read from the cache, by name; from_cache, how many were read there.
    """
    import jax

    from wae_rnf_jax import cli
    from wae_rnf_jax.runs.metrics import MetricsLog

    compilations: Counter[str] = Counter()
    hits: list[str] = []
    found: dict[str, Any] = {"first_step": None, "cpu_seconds": None}

    def on_duration(event: str, seconds: float, **labels: Any) -> None:
        if event == _COMPILED:
            compilations[str(labels.get("fun_name"))] += 1

    def on_event(event: str, **labels: Any) -> None:
        if event == _FROM_CACHE:
            hits.append(event)

    class Watched(MetricsLog):
        def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
            if found["first_step"] is None:
                jax.block_until_ready(metrics)
                found.update(first_step=time.time(), cpu_seconds=time.process_time())
            super().add(step, metrics)

    from wae_rnf_jax.training import loop

    jax.monitoring.register_event_duration_secs_listener(on_duration)
    jax.monitoring.register_event_listener(on_event)
    loop.MetricsLog = Watched
    try:
        found["exit_code"] = cli.main(arguments)
    finally:
        loop.MetricsLog = MetricsLog
        jax.monitoring.unregister_event_duration_listener(on_duration)
        jax.monitoring.unregister_event_listener(on_event)
    return {**found, "compilations": dict(compilations), "from_cache": len(hits)}


def of_steps(compilations: dict[str, int]) -> dict[str, int]:
    """How often the training and the evaluation step were compiled, on one device.

    On several, the mapped steps' programs have no name of their own.
    """
    return {
        step: sum(count for name, count in compilations.items() if step in name) for step in _STEPS
    }


def train_arguments(arguments: argparse.Namespace, folder: Path, workdir: str) -> list[str]:
    """A short run at the paper's sizes, or at tiny ones."""
    settings = {
        "data.cache_dir": folder / "corpora",
        "data.num_sentences": (1280, 320, 320),
        "data.num_buckets": arguments.num_buckets,
        "train.num_epochs": 1,
    }
    if arguments.smoke:
        settings |= {
            "data.num_sentences": (64, 16, 16),
            "model.embedding_dim": 8,
            "model.hidden_dim": 8,
        }
    return [
        "train",
        f"--config={_ROOT}/configs/grammar/{arguments.system}.py",
        f"--workdir={folder / workdir}",
        *(f"--config.{key}={value}" for key, value in settings.items()),
    ]


def _process(module: list[str], cache: Path) -> tuple[float, str]:
    """Runs Python; returns when it began, and what it printed."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"  # as the command's own
    begun = time.time()
    done = subprocess.run(
        [sys.executable, *module],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment,
        cwd=_ROOT,
    )
    return begun, done.stdout


def started(name: str, cache: Path, arguments: list[str]) -> Row:
    """One run's row."""
    watched = ["-m", "benchmarks.startup", "--watch", json.dumps(arguments)]
    begun, output = _process(watched, cache)
    found = json.loads(output.splitlines()[-1])
    steps = of_steps(found["compilations"])
    return {
        "run": name,
        "s to the first step": found["first_step"] - begun,
        "cpu s": found["cpu_seconds"],
        "programs": sum(found["compilations"].values()),
        "of them from the cache": found["from_cache"],
        "training steps compiled": steps["train_step"],
        "evaluation steps compiled": steps["eval_step"],
    }


def imported(cache: Path) -> Row:
    """The yardstick: a process that imports what training imports, and begins nothing."""
    code = "import time, wae_rnf_jax.training.loop; print(time.time(), time.process_time())"
    begun, output = _process(["-c", code], cache)
    ended, cpu = map(float, output.split())
    return {"run": "imports alone", "s to the first step": ended - begun, "cpu s": cpu}


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--system", default="wae_rnf", help="of configs/grammar")
    flags.add_argument("--num_buckets", type=int, default=4, help="lengths to compile for")
    flags.add_argument("--watch", type=json.loads, help=argparse.SUPPRESS)
    arguments = flags.parse_args(argv)
    if arguments.watch:
        print(json.dumps(watched_command(arguments.watch)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = train_arguments(arguments, folder, "workdir")
        prepare = ["prepare", *(part for part in train[1:] if "--workdir" not in part)]
        _process(["-m", "wae_rnf_jax.cli", *prepare], folder / "jax")
        cache = folder / "compiled"
        rows = [imported(cache)]
        for run in ("empty cache", "full cache"):
            row = started(run, cache, train_arguments(arguments, folder, run.replace(" ", "_")))
            rows.append(row)
            if row["training steps compiled"] > arguments.num_buckets:
                raise AssertionError(f"more programs than lengths: {row}")
    note = f"{arguments.system} on the built-in corpus, {arguments.num_buckets} lengths, one epoch"
    measurement.report("Start-up", rows, notes=[note], output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
