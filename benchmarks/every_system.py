"""Every system: its parameters, and a training step's time beside the `vae`'s.

python -m benchmarks.every_system [SYSTEM…] [--output=FILE.json]

Each takes turns with the `vae` on the same batches of 32; systems that differ in λ alone share a
step. A step of `semi_amortized` is of the configuration's refinement steps.
"""

import sys

from benchmarks import measurement, workload
from benchmarks.layouts import SYSTEMS
from benchmarks.measurement import Row
from benchmarks.train_step import program_steps
from wae_rnf_jax.commands.memory import keep_freed_memory
from wae_rnf_jax.training.estimate import tree_size

_YARDSTICK, _BATCH_SIZE = "vae", 32


def compared(
    system: str, size: workload.Sizes, batches: list, *, repetitions: int
) -> dict[str, measurement.Samples]:
    """The times of the system and of the yardstick, of the batches together."""
    names = dict.fromkeys((_YARDSTICK, system))
    candidates = {name: program_steps(name, size, batches) for name in names}
    return measurement.interleaved(candidates, repetitions=repetitions)


def num_parameters(system: str, size: workload.Sizes) -> int:
    """All of them, the embedding and the output layer counted."""
    run = workload.started_run(workload.config_of(system, size, _BATCH_SIZE), size)
    return tree_size(run.state.params)[0]


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("systems", nargs="*", help="all if none is named")
    flags.add_argument("--num_batches", type=int, default=4, help="lengths that batches are of")
    arguments = flags.parse_args(argv)
    keep_freed_memory()  # as the command does
    size = workload.sizes(arguments.smoke)
    split, origin = workload.drawn_split(size)
    config = workload.config_of(_YARDSTICK, size, _BATCH_SIZE)
    batches = workload.typical_batches(split, config, arguments.num_batches)
    rows: list[Row] = []
    for system in arguments.systems or SYSTEMS:
        found = compared(system, size, batches, repetitions=arguments.repetitions)
        times, _ = measurement.speedup(found[_YARDSTICK], found[system])
        row = {
            "system": system,
            "parameters": num_parameters(system, size),
            "ms/step": 1e3 * found[system].seconds / len(batches),
            "times a vae step": times,
        }
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    notes = [f"{arguments.num_batches} batches of an epoch, {origin}, B {_BATCH_SIZE}"]
    measurement.report("Every system", rows, notes=notes, output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
