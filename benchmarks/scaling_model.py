"""A model of a training step's time on many chips, and what it says up to 4,096 of them.

    python -m benchmarks.scaling_model [--programs=benchmarks/communication.json]

Rows of a chip are fixed (weak scaling): D chips take D times the rows of one, and efficiency is a
step's time on one chip over that on D. Nothing overlaps: the gradient is whole when it is reduced,
and what stands before it waits for what is gathered. From the compiled programs
(`benchmarks.communication`): the collectives, their bytes, the FLOPs, the iterations of loops. From
published pages: rates (`benchmarks.chips`). Assumed: latencies, and the utilisations below.

Letters: D chips, R rows of each, Z latent.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.chips import CHIPS, Chip

COUNTS = (1, 8, 64, 256, 1024, 4096)
ROWS = (32, 128)
SYSTEMS = ("lm", "wae_rnf", "wae_rnf_fisher")
UTILISATION = 0.25  # of the peak rates, by products and by vector operations of this size
MMD_BLOCK = 1024  # codes that a chip compares its own with at a time
# Of a pair of codes, value and gradient, the value formed twice: three operations a dimension and
# four a scale of the kernel's seven, each once forward, once again and about twice backward.
PAIR_OPERATIONS = 4 * (3 * 32 + 4 * 7)
OPTIMISER_PASSES = (
    8  # over the parameters' bytes: norm, gradient, and three arrays read and written
)
SENTENCES, BUCKETS = 42_068, 10  # of Penn Treebank, in buckets of about equal size


class Law(NamedTuple):
    """How a system's step grows: bytes, collectives and work as functions of R and D·R.

    Attributes:
      parameters: bytes of them.
      reduced: bytes that an all-reduce takes, on any layout.
      gathered: bytes a row that all-gathers bring to every chip.
      scattered: bytes a row of the global batch that a reduce-scatter takes.
      passes: all-gathers and reduce-scatters, and twice the all-reduces.
      collectives: how many there are.
      flops: of a step on R rows, constant and slope.
      iterations: of its loops on R rows, constant and slope.
    """

    parameters: int
    reduced: float
    gathered: float
    scattered: float
    passes: int
    collectives: int
    flops: tuple[float, float]
    iterations: tuple[float, float]


def law(programs: Sequence[dict[str, Any]], system: str, compiler: str = "cpu") -> Law:
    """Reads a system's law from its programs with two different numbers of rows.

    Args:
      programs: as `benchmarks.communication` writes them.
      system: of configs/ptb.
      compiler: that counts the collectives, where it has compiled this system; else the CPU's,
        whose are the bytes in any case: on few chips the TPUs' turns small gathers into reductions.

    Raises:
      ValueError: there are no two such programs.
    """
    own = [program for program in programs if program["system"] == system]
    by_rows = {program["rows"]: program for program in own if program["compiler"] == "cpu"}
    if len(by_rows) < 2:
        raise ValueError(f"{system} needs programs with two numbers of rows, got {sorted(by_rows)}")
    few, many = by_rows[min(by_rows)], by_rows[max(by_rows)]
    counted = [program for program in own if program["compiler"] == compiler] or [many]
    numbers, sizes = counted[-1]["numbers"], many["bytes"]
    return Law(
        parameters=many["parameters"],
        reduced=sizes["all-reduce"],
        gathered=sizes.get("all-gather", 0) / many["rows"],
        scattered=sizes.get("reduce-scatter", 0) / (many["rows"] * many["devices"]),
        passes=sum(numbers.values()) + numbers["all-reduce"],
        collectives=sum(numbers.values()),
        flops=_line(few, many, "flops"),
        iterations=_line(few, many, "iterations"),
    )


def _line(few: dict[str, Any], many: dict[str, Any], what: str) -> tuple[float, float]:
    """Constant and slope through two programs' figures."""
    slope = (many[what] - few[what]) / (many["rows"] - few["rows"])
    return few[what] - slope * few["rows"], slope


def step_parts(of: Law, chip: Chip, num_chips: int, rows: int) -> dict[str, float]:
    """Seconds of a step by what they go to.

    Args:
      of: the system.
      chip: that it runs on.
      num_chips: D.
      rows: R.
    """
    codes = num_chips * rows if of.scattered else 0  # that MMD compares a chip's own with
    blocks = -(-codes // MMD_BLOCK) if codes > MMD_BLOCK else 0
    flops, iterations = (constant + slope * rows for constant, slope in (of.flops, of.iterations))
    summed = chip.bytes_time(of.reduced, num_chips)
    gathered = chip.bytes_time((of.gathered + of.scattered) * num_chips * rows, num_chips)
    steps = of.passes * chip.steps_time(num_chips)
    starts = of.collectives * chip.start if num_chips > 1 else 0.0
    return {
        "loops": iterations * chip.iteration,
        "products": flops / (UTILISATION * chip.flops),
        "optimiser": OPTIMISER_PASSES * of.parameters / chip.memory,
        # Three sums over pairs, forward and backward.
        "MMD": 6 * blocks * chip.iteration
        + 3 * rows * codes * PAIR_OPERATIONS / (UTILISATION * chip.vector),
        "gradient's bytes": 2 * summed,
        "gathered bytes": gathered,
        "latency": steps + starts,
    }


def efficiency(of: Law, chip: Chip, num_chips: int, rows: int) -> float:
    """A step's time on one chip over that on D, each with R rows a chip."""
    alone, together = (sum(step_parts(of, chip, n, rows).values()) for n in (1, num_chips))
    return alone / together


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose cells, but for the first column's, are set right."""
    rule = ["---"] + ["---:"] * (len(names) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *rows))


def efficiency_table(programs: Sequence[dict[str, Any]]) -> str:
    """Efficiency of each chip, system and R, by D."""
    names = ["chip", "system", "R", "ms, D = 1", *(f"{n:,}" for n in COUNTS[1:])]
    rows = []
    for chip in CHIPS:
        for system in SYSTEMS:
            of = law(programs, system, chip.compiler)
            for count in ROWS:
                alone = 1e3 * sum(step_parts(of, chip, 1, count).values())
                shares = [f"{efficiency(of, chip, n, count):.0%}" for n in COUNTS[1:]]
                rows.append([chip.name, f"`{system}`", str(count), f"{alone:.2f}", *shares])
    return table(names, rows)


def parts_table(programs: Sequence[dict[str, Any]], system: str, rows: int) -> str:
    """Where a step's milliseconds go, on one chip and on the most."""
    names = list(step_parts(law(programs, system), CHIPS[0], 1, rows))
    lines = []
    for chip in CHIPS:
        for num_chips in (COUNTS[0], COUNTS[3], COUNTS[-1]):
            parts = step_parts(law(programs, system, chip.compiler), chip, num_chips, rows)
            shown = (f"{1e3 * seconds:.2f}" for seconds in (*parts.values(), sum(parts.values())))
            lines.append([chip.name, f"{num_chips:,}", *shown])
    return table(["chip", "D", *names, "in all"], lines)


def limits_table(programs: Sequence[dict[str, Any]], system: str) -> str:
    """From which D on something no longer scales, for each R."""
    of = law(programs, system)
    chips = {chip.name: chip for chip in CHIPS}
    rows = []
    for count in ROWS:
        alone = {name: sum(step_parts(of, chip, 1, count).values()) for name, chip in chips.items()}

        def first(part: str, count: int = count, alone: dict = alone) -> str:
            """The least power of two from which a part takes a quarter of the step on one chip."""
            found = (
                [2**k for k in range(13) if step_parts(of, c, 2**k, count)[part] > alone[n] / 4]
                for n, c in chips.items()
            )
            ends = sorted(f[0] if f else 8192 for f in found)
            shown = ["never" if end == 8192 else f"{end:,}" for end in (ends[0], ends[-1])]
            return " to ".join(dict.fromkeys(shown))

        rows.append(
            [
                str(count),
                f"{SENTENCES // BUCKETS // count:,}",
                f"{SENTENCES // count:,}",
                *(first(part) for part in ("latency", "MMD", "gathered bytes", "gradient's bytes")),
            ]
        )
    names = ["R", "a bucket's sentences", "the epoch's", "latency", "MMD", "gathered", "gradient"]
    return table(names, rows)


def input_table(programs: Sequence[dict[str, Any]], system: str, batch_seconds: float) -> str:
    """Sentences a second that a host must give its chips, and the cores that making them takes.

    Args:
      programs: as for `law`.
      system: of configs/ptb.
      batch_seconds: processor time of a batch of 32 sentences.
    """
    lines = []
    for chip in CHIPS:
        of = law(programs, system, chip.compiler)
        for count in ROWS:
            step = sum(step_parts(of, chip, chip.host_chips, count).values())
            rate = chip.host_chips * count / step
            cores = rate / 32 * batch_seconds
            lines.append(
                [chip.name, str(chip.host_chips), str(count), f"{rate:,.0f}", f"{cores:.1f}"]
            )
    return table(["chip", "of a host", "R", "sentences/s of a host", "cores"], lines)


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).with_name("communication.json")
    flags.add_argument("--programs", type=Path, default=default, help="JSON of communication")
    flags.add_argument("--system", default="wae_rnf", help="of the tables of one system")
    flags.add_argument(
        "--batch_ms", type=float, default=1.0, help="of processor, a batch of 32 (benchmarks.input)"
    )
    arguments = flags.parse_args(argv)
    programs, system = json.loads(arguments.programs.read_text()), arguments.system
    print("Weak-scaling efficiency\n", efficiency_table(programs), sep="\n")
    for rows in ROWS:
        print(f"\nMilliseconds of a step of {system}, {rows} rows a chip\n")
        print(parts_table(programs, system, rows))
    print(f"\nD from which {system} no longer scales\n", limits_table(programs, system), sep="\n")
    print("\nInput\n", input_table(programs, system, arguments.batch_ms / 1e3), sep="\n")


if __name__ == "__main__":
    main()
