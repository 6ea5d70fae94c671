"""Training: predicted tokens per second and peak memory, beside three yardsticks.

python -m benchmarks.train_step [--batch_size=32 --batch_size=128] [--output=FILE.json]

Candidates take turns on the same batches:

- `program`: the mapped step of the training loop, its state donated, freed memory kept;
- `bfloat16`: the same with narrow operands of the words' products (`model.dtype`);
- `materialized`: `program` with the logits of a whole batch in memory;
- `pytorch`: `torch_model.py`, where PyTorch is installed;
- `products`: the floor, what the matrix products of the predicted tokens alone would take at the
  rate at which this machine multiplies matrices.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks import measurement, workload
from benchmarks.measurement import Row, Samples
from benchmarks.workload import Sizes
from wae_rnf_jax.commands.memory import keep_freed_memory
from wae_rnf_jax.data.batches import Batch
from wae_rnf_jax.training.parallel import mapped_train_step, split_rows

SYSTEMS = ("vae", "wae_rnf")
_WHOLE_BATCH = 1 << 30
_RATE = "rate"


def program_steps(
    system: str, size: Sizes, batches: list[Batch], *, block: int = 0, dtype: str = "float32"
) -> Callable:
    """Returns a function that takes one step on each batch.

    Args:
      system: of `configs/systems.py`.
      size: of model and split.
      batches: of one size.
      block: rows of logits held at once; 0 is the configuration's.
      dtype: `model.dtype`.
    """
    config = workload.config_of(system, size, len(batches[0]["lengths"]))
    config.model.dtype = dtype
    if block:
        config.model.cross_entropy_block = block
    run = workload.started_run(config, size)
    step, state = mapped_train_step(run.recipe), run.state
    rows = [split_rows(batch) for batch in batches]

    def steps() -> float:
        nonlocal state
        for batch in rows:
            state, metrics = step(state, batch, run.rng)
            jax.block_until_ready(metrics)
        return float(metrics["loss"])

    return steps


def torch_steps(size: Sizes, batches: list[Batch]) -> Callable | None:
    """Returns the same of the PyTorch model, or None where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from benchmarks.torch_model import TorchTraining

    return TorchTraining(size, batches).steps


def step_products(size: Sizes, tokens: int) -> float:
    """Floating-point operations of the matrix products of so many predicted tokens.

    The output layer, and in each LSTM the products with the input and with h; each product once
    forward and twice backward.
    """
    embedding, hidden = size.embedding_dim, size.hidden_dim
    multiply_adds = hidden * size.vocab_size + 2 * (embedding + hidden) * 4 * hidden
    return 3 * 2.0 * tokens * multiply_adds


def matrix_rate(dim: int) -> tuple[Callable, float]:
    """A product of two square matrices, and its floating-point operations."""
    x = jax.random.normal(jax.random.key(0), (dim, dim))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(x, x)), 2.0 * dim**3


def candidates(system: str, size: Sizes, batches: list[Batch]) -> dict[str, Callable]:
    """What is compared, by name: functions that build the steps, or None where they cannot."""
    program = partial(program_steps, system, size, batches)
    return {
        "program": program,
        "bfloat16": partial(program, dtype="bfloat16"),
        "materialized": partial(program, block=_WHOLE_BATCH),
        "pytorch": partial(torch_steps, size, batches),
    }


def compared(
    system: str, size: Sizes, batches: list[Batch], *, repetitions: int, dim: int
) -> list[Row]:
    """One row a candidate."""
    product, operations = matrix_rate(dim)
    built = {name: build() for name, build in candidates(system, size, batches).items()}
    steps = {name: steps for name, steps in built.items() if steps is not None}
    samples = measurement.interleaved({**steps, _RATE: product}, repetitions=repetitions)
    tokens = workload.num_tokens(batches)
    share = step_products(size, tokens) / operations
    rate = samples.pop(_RATE)
    samples["products"] = Samples(rate.wall * share, rate.cpu * share)
    program = samples["program"]
    rows = []
    for name, taken in samples.items():
        times, cpu_times = measurement.speedup(program, taken)
        rows.append(
            {
                "system": system,
                "B": len(batches[0]["lengths"]),
                "candidate": name,
                "tokens/s": tokens / taken.seconds,
                "ms/step": 1e3 * taken.seconds / len(batches),
                "cpu ms/step": 1e3 * taken.cpu_seconds / len(batches),
                "program is faster by": times,
                "by cpu time": cpu_times,
            }
        )
    return rows


def peak_memory(name: str, system: str, size: Sizes, batches: list[Batch]) -> float:
    """Peak resident memory of steps on the batches, MiB; in a process of its own to mean much."""
    steps = candidates(system, size, batches)[name]()
    steps()  # what compiling took is not counted
    measurement.reset_peak_memory()
    steps()
    return measurement.peak_memory_mib()


def _peak_memory_of_process(arguments: argparse.Namespace, name: str, system: str, size: int):
    command = [
        *(sys.executable, "-m", "benchmarks.train_step", f"--memory_of={name}"),
        *(f"--system={system}", f"--batch_size={size}", f"--num_batches={arguments.num_batches}"),
        *(["--smoke"] if arguments.smoke else []),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _flags() -> argparse.ArgumentParser:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--batch_size", type=int, action="append", help="B; may be repeated")
    flags.add_argument("--system", action="append", choices=SYSTEMS, help="may be repeated")
    flags.add_argument("--num_batches", type=int, default=4, help="lengths that batches are of")
    flags.add_argument("--no_memory", action="store_true", help="leave peak memory out")
    flags.add_argument("--memory_of", help=argparse.SUPPRESS)
    return flags


def main(argv: list[str] | None = None) -> int:
    arguments = _flags().parse_args(argv)
    keep_freed_memory()  # as the command does
    size = workload.sizes(arguments.smoke)
    split, origin = workload.drawn_split(size)
    systems = arguments.system or SYSTEMS
    batch_sizes = arguments.batch_size or ([8] if arguments.smoke else [32, 128])

    def batches_of(batch_size: int) -> list[Batch]:
        config = workload.config_of(systems[0], size, batch_size)
        return workload.typical_batches(split, config, arguments.num_batches)

    if arguments.memory_of:
        batches = batches_of(batch_sizes[0])
        print(json.dumps(peak_memory(arguments.memory_of, systems[0], size, batches)))
        return 0
    rows: list[Row] = []
    for batch_size in batch_sizes:
        for system in systems:
            found = compared(
                system,
                size,
                batches_of(batch_size),
                repetitions=arguments.repetitions,
                dim=64 if arguments.smoke else 1024,
            )
            for row in found:
                name = row["candidate"]
                if name != "products" and not arguments.no_memory:
                    row["peak MiB"] = _peak_memory_of_process(arguments, name, system, batch_size)
            rows += found
    notes = [
        f"{arguments.num_batches} batches of an epoch, {origin}; V {size.vocab_size}, "
        f"E {size.embedding_dim}, H {size.hidden_dim}, Z {size.latent_dim}, "
        f"dropout {size.dropout}; tokens are predicted tokens, padding not counted"
    ]
    if importlib.util.find_spec("torch") is None:
        notes.append("PyTorch is not installed: its rows are missing")
    measurement.report("Training step", rows, notes=notes, output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
