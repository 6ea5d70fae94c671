"""What each regularizer of the flow adds to a training step.

python -m benchmarks.regularizers [--system=wae_rnf] [--output=FILE.json]

The steps of `wae_nf`, which has no regularizer, and of the systems that differ from it in nothing
else take turns on the same batches. Refreshing the centers is part of the steps, as often as in
training.
"""

import sys

from benchmarks import measurement, workload
from benchmarks.train_step import program_steps
from wae_rnf_jax.commands.memory import keep_freed_memory

PLAIN = "wae_nf"
SYSTEMS = ("wae_rnf", "wae_rnf_attract", "wae_rnf_repel", "wae_rnf_state", "wae_rnf_fisher")


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--system", action="append", choices=SYSTEMS, help="may be repeated")
    flags.add_argument("--batch_size", type=int, default=32)
    flags.add_argument("--num_batches", type=int, default=2, help="lengths that batches are of")
    arguments = flags.parse_args(argv)
    keep_freed_memory()
    size = workload.sizes(arguments.smoke)
    split, origin = workload.drawn_split(size)
    batch_size = 8 if arguments.smoke else arguments.batch_size
    config = workload.config_of(PLAIN, size, batch_size)
    batches = workload.typical_batches(split, config, arguments.num_batches)
    systems = (PLAIN, *(arguments.system or SYSTEMS))
    samples = measurement.interleaved(
        {system: program_steps(system, size, batches) for system in systems},
        repetitions=arguments.repetitions,
    )
    rows = []
    for system, taken in samples.items():
        times, cpu_times = measurement.speedup(samples[PLAIN], taken)
        rows.append(
            {
                "system": system,
                "ms/step": 1e3 * taken.seconds / len(batches),
                "cpu ms/step": 1e3 * taken.cpu_seconds / len(batches),
                f"times {PLAIN}": times,
                "by cpu time": cpu_times,
            }
        )
    note = f"batches of {batch_size}, {len(batches)} lengths, {origin}; V {size.vocab_size}"
    measurement.report("Regularizers of the flow", rows, notes=[note], output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
