"""Input: batches per second without the model, and how long training waits for them.

python -m benchmarks.input [--num_steps=40] [--output=FILE.json]

The yardstick of the batches is a loop that makes them in the calling thread, without Grain. The
yardstick of the wait is the training step that it stands beside.
"""

import sys
import time
from functools import partial

import jax
from ml_collections import ConfigDict

from benchmarks import measurement, workload
from benchmarks.measurement import Row
from benchmarks.workload import Sizes
from wae_rnf_jax.commands.memory import keep_freed_memory
from wae_rnf_jax.data.batches import TrainingBatches, training_batches
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.training.parallel import mapped_train_step, split_rows


def batches_of_grain(split: TokenSplit, number: int, **settings: int) -> None:
    """Reads so many batches the way training does."""
    batches = training_batches(split, **settings)
    for _ in range(number):
        next(batches)


def batches_of_loop(split: TokenSplit, number: int, **settings: int) -> None:
    """Makes so many batches one after the other."""
    batches = TrainingBatches(split, **settings)
    for k in range(number):
        batches[k]


def reading(split: TokenSplit, config: ConfigDict, *, number: int, repetitions: int) -> list[Row]:
    """Batches per second, the epoch's plan and the reader's start included."""
    settings = _settings(config)
    samples = measurement.interleaved(
        {
            "loop": partial(batches_of_loop, split, number, **settings),
            "program": partial(batches_of_grain, split, number, **settings),
        },
        repetitions=repetitions,
    )
    return [
        {
            "what": f"{name}: batches of {config.train.batch_size}",
            "batches/s": number / taken.seconds,
            "cpu ms/batch": 1e3 * taken.cpu_seconds / number,
            "faster than the loop by": measurement.speedup(taken, samples["loop"])[0],
        }
        for name, taken in samples.items()
    ]


def _settings(config: ConfigDict) -> dict[str, int]:
    return {
        "batch_size": config.train.batch_size,
        "num_buckets": config.data.num_buckets,
        "seed": config.train.seed,
    }


def waiting(split: TokenSplit, size: Sizes, config: ConfigDict, *, num_steps: int) -> Row:
    """The share of a run's time in which it waits for its next batch."""
    run = workload.started_run(config, size)
    step, state = mapped_train_step(run.recipe), run.state
    settings = _settings(config)
    # Each length is compiled before the clock starts.
    planned = TrainingBatches(split, **settings)
    bounds = planned.plan(0).bounds[:num_steps]
    for k in {int(bound): k for k, bound in enumerate(bounds)}.values():
        state, metrics = step(state, split_rows(planned[k]), run.rng)
    jax.block_until_ready(metrics)
    batches = training_batches(split, **settings)
    waited, begun = 0.0, time.perf_counter()
    for _ in range(num_steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        state, metrics = step(state, split_rows(batch), run.rng)
        jax.block_until_ready(metrics)
    total = time.perf_counter() - begun
    return {
        "what": f"training with it, batches of {config.train.batch_size}",
        "batches/s": num_steps / total,
        "waits for input, % of the time": 100 * waited / total,
    }


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--system", default="wae_rnf", help="of configs/systems.py")
    flags.add_argument("--batch_size", type=int, default=32)
    flags.add_argument("--num_batches", type=int, default=1000, help="read in a round")
    flags.add_argument("--num_steps", type=int, default=40, help="of training")
    arguments = flags.parse_args(argv)
    if arguments.smoke:
        arguments.batch_size, arguments.num_batches, arguments.num_steps = 8, 20, 2
    keep_freed_memory()
    size = workload.sizes(arguments.smoke)
    split, origin = workload.drawn_split(size)
    config = workload.config_of(arguments.system, size, arguments.batch_size)
    rows = reading(split, config, number=arguments.num_batches, repetitions=arguments.repetitions)
    rows.append(waiting(split, size, config, num_steps=arguments.num_steps))
    notes = [f"{arguments.system}, {origin}"]
    measurement.report("Input", rows, notes=notes, output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
