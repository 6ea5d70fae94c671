"""A model of a training step's time on many chips, and what it says up to 4,096 of them.

    python -m benchmarks.scaling_model [--programs=benchmarks/communication.json]

Rows of a chip are fixed (weak scaling): D chips take D times the rows of one, and efficiency is a
step's time on one chip over that on D. Nothing overlaps: the gradient is whole when it is reduced,
and what stands before it waits for what is gathered. From the compiled programs
(`benchmarks.communication`): the collectives, their bytes, the FLOPs, the iterations of loops. From
published pages: rates (`benchmarks.chips`). Assumed: latencies, and the shares of rates below.

Letters: D chips, R rows of each.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import workload
from benchmarks.chips import CHIPS, Chip, Torus
from wae_rnf_jax.data.buckets import bucket_bounds, epoch_plan, padding_share

COUNTS = (1, 8, 64, 256, 1024, 4096)
ROWS = (32, 128)
# With True, MMD is within the rows of each chip (`train.mmd_group` = R).
SYSTEMS = (("lm", False), ("wae_rnf", False), ("wae_rnf", True), ("wae_rnf_fisher", False))
# Shares of the peak rates that a step of this size reaches.
OF_PRODUCTS, OF_VECTOR, OF_MEMORY = 0.2, 0.1, 0.5
# Of a code and another: MMD adds up three kinds of pairs, and two of them have a gradient, for
# which the value is formed again. Three operations a dimension and four a scale of the kernel make
# a value, twice as many its derivative.
_VALUE = 3 * 32 + 4 * 7
PAIR_OPERATIONS = 3 * _VALUE + 2 * 3 * _VALUE
MMD_BLOCK, MMD_LOOPS = 1024, 3 + 2  # codes taken at a time, where there are more; loops over them
OPTIMIZER_PASSES = 8  # over the gradient for its norm, over it again, and to and fro over three
NUM_BUCKETS = 10


class Law(NamedTuple):
    """How a system's step grows: bytes, collectives and work as functions of R and D·R.

    Attributes:
      parameters: bytes of them.
      reduced: bytes that all-reduces take, on any layout.
      exchanged: bytes that passes take for each row of the global batch.
      passes: all-gathers and reduce-scatters, and twice the all-reduces.
      collectives: how many there are.
      compares: whether MMD compares a chip's codes: with all chips', or in groups with its own.
      groups: whether it is in groups.
      flops: of a step on R rows, constant and slope.
      iterations: of its loops on R rows, constant and slope.
    """

    parameters: int
    reduced: float
    exchanged: float
    passes: int
    collectives: int
    compares: bool
    groups: bool
    flops: tuple[float, float]
    iterations: tuple[float, float]


def law(
    programs: Sequence[dict[str, Any]], system: str, compiler: str = "cpu", *, groups: bool = False
) -> Law:
    """Reads a system's law from its programs with two different numbers of rows.

    Args:
      programs: as `benchmarks.communication` writes them.
      system: of configs/ptb.
      compiler: whose collectives are taken, of its program for the most devices, where it has
        compiled this system; else the CPU's.
      groups: whether MMD is within each chip's rows.

    Raises:
      ValueError: there are no two such programs.
    """
    own = [p for p in programs if p["system"] == system and bool(p["mmd_group"]) == groups]
    by_rows = {program["rows"]: program for program in own if program["compiler"] == "cpu"}
    if len(by_rows) < 2:
        raise ValueError(f"{system} needs programs with two numbers of rows, got {sorted(by_rows)}")
    few, many = by_rows[min(by_rows)], by_rows[max(by_rows)]
    chosen = [program for program in own if program["compiler"] == compiler] or [many]
    chosen = max(chosen, key=lambda program: program["devices"])
    numbers, sizes = chosen["numbers"], chosen["bytes"]
    reduced = many["bytes"]["all-reduce"]  # gradient, metrics, statistics of batch normalization
    exchanged = (
        2 * (sizes["all-reduce"] - reduced)  # TPUs' compiler makes reductions of small gathers
        + chosen["devices"] * sizes.get("all-gather", 0)
        + sizes.get("reduce-scatter", 0)
    )
    return Law(
        parameters=many["parameters"],
        reduced=reduced,
        exchanged=exchanged / (chosen["devices"] * chosen["rows"]),
        passes=sum(numbers.values()) + numbers["all-reduce"],
        collectives=sum(numbers.values()),
        compares=groups or "reduce-scatter" in many["numbers"],
        groups=groups,
        flops=_line(few, many, "flops"),
        iterations=_line(few, many, "iterations"),
    )


def _line(few: dict[str, Any], many: dict[str, Any], what: str) -> tuple[float, float]:
    """Constant and slope through two programs' values."""
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
    flops, iterations = (constant + slope * rows for constant, slope in (of.flops, of.iterations))
    all_rows = num_chips * rows
    others = rows if of.groups else all_rows  # that each row is compared with
    pairs = rows * others if of.compares else 0
    blocks = -(-others // MMD_BLOCK) if of.compares and others > MMD_BLOCK else 0
    compared = pairs * PAIR_OPERATIONS / (OF_VECTOR * chip.vector)
    starts = of.collectives * chip.start if num_chips > 1 else 0.0
    return {
        "loops": iterations * chip.iteration,
        "products": flops / (OF_PRODUCTS * chip.flops),
        "optimizer": OPTIMIZER_PASSES * of.parameters / (OF_MEMORY * chip.memory),
        "MMD": max(compared, MMD_LOOPS * blocks * chip.iteration),
        "gradient's bytes": 2 * chip.bytes_time(of.reduced, num_chips),
        "rows' bytes": chip.bytes_time(of.exchanged * all_rows, num_chips),
        "latency": of.passes * chip.steps_time(num_chips) + starts,
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
        for system, groups in SYSTEMS:
            of = law(programs, system, chip.compiler, groups=groups)
            name = f"`{system}`" + ", groups of R" * groups
            for count in ROWS:
                alone = 1e3 * sum(step_parts(of, chip, 1, count).values())
                shares = [f"{efficiency(of, chip, n, count):.0%}" for n in COUNTS[1:]]
                rows.append([chip.name, name, str(count), f"{alone:.2f}", *shares])
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
    return table(["chip", "D", *names, "total"], lines)


def slower(chip: Chip, what: str, factor: float) -> Chip:
    """The chip with one of the model's assumptions so many times as slow."""
    if what == "iterations":
        return replace(chip, iteration=factor * chip.iteration)
    if what == "vector operations":
        return replace(chip, vector=chip.vector / factor)
    inner, hop = chip.inner, "hop" if isinstance(chip.inner, Torus) else "step"
    return replace(
        chip,
        start=factor * chip.start,
        inner=replace(inner, **{hop: factor * getattr(inner, hop)}),
        outer=replace(chip.outer, step=factor * chip.outer.step),
    )


def sensitivity_table(programs: Sequence[dict[str, Any]], system: str, num_chips: int) -> str:
    """Efficiency at R = 32 with each assumption twice as fast and twice as slow."""
    assumptions = ("iterations", "vector operations", "latencies")
    lines = []
    for chip in CHIPS:
        of = law(programs, system, chip.compiler)
        cells = [f"{efficiency(of, chip, num_chips, 32):.0%}"]
        for what in assumptions:
            ends = (efficiency(of, slower(chip, what, by), num_chips, 32) for by in (0.5, 2.0))
            cells.append(" to ".join(f"{end:.0%}" for end in ends))
        lines.append([chip.name, *cells])
    return table(["chip", "as assumed", *assumptions], lines)


def limits_table(programs: Sequence[dict[str, Any]], system: str) -> str:
    """The least D at which a part alone takes a quarter of what the step takes on one chip."""
    names = ("latency", "MMD", "rows' bytes", "gradient's bytes")
    lines = []
    for chip in CHIPS:
        of = law(programs, system, chip.compiler)
        for rows in ROWS:
            quarter = sum(step_parts(of, chip, 1, rows).values()) / 4
            parts = {2**k: step_parts(of, chip, 2**k, rows) for k in range(13)}
            first = (
                next((f"{n:,}" for n, part in parts.items() if part[name] >= quarter), "—")
                for name in names
            )
            lines.append([chip.name, str(rows), *first])
    return table(["chip", "R", *names], lines)


def epoch_table(lengths: np.ndarray) -> str:
    """Steps and padding of an epoch as the global batch grows.

    Args:
      lengths: words of each training sentence, [N].
    """
    bounds = bucket_bounds(lengths, num_buckets=NUM_BUCKETS)
    lines = []
    for batch in (32, 256, 2048, 8192, 32_768, 131_072):
        plan = epoch_plan(lengths, bounds=bounds, batch_size=batch, seed=0, epoch=0)
        shown = (f"{batch:,}", f"{batch // 32:,}", f"{len(plan):,}", f"{48 * len(plan):,}")
        lines.append([*shown, f"{padding_share(lengths, plan):.0%}"])
    return table(
        ["rows per step", "D at R = 32", "steps per epoch", "steps in 48 epochs", "padding"], lines
    )


def input_table(
    programs: Sequence[dict[str, Any]], system: str, batch_ms: tuple[float, float]
) -> str:
    """What a host must give its chips, and the cores that making it takes.

    Args:
      programs: as for `law`.
      system: of configs/ptb.
      batch_ms: milliseconds of processor of a batch of 32 and of 128 sentences; of others, as many
        as lie on the line through these.
    """
    slope = (batch_ms[1] - batch_ms[0]) / (128 - 32)
    lines = []
    for chip in CHIPS:
        of = law(programs, system, chip.compiler)
        for count in ROWS:
            rows = chip.host_chips * count
            step = sum(step_parts(of, chip, chip.host_chips, count).values())
            cores = (batch_ms[0] + slope * (rows - 32)) / 1e3 / step
            shown = (str(chip.host_chips), str(count), f"{rows / step:,.0f}", f"{cores:.2f}")
            lines.append([chip.name, *shown])
    return table(["chip", "chips per host", "R", "sentences/s per host", "cores"], lines)


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).with_name("communication.json")
    flags.add_argument("--programs", type=Path, default=default, help="JSON of communication")
    flags.add_argument("--system", default="wae_rnf", help="of the tables of one system")
    flags.add_argument(
        "--batch_ms",
        type=float,
        nargs=2,
        default=(0.256, 0.403),
        help="of processor, a batch of 32 and one of 128, as benchmarks.input measures them",
    )
    arguments = flags.parse_args(argv)
    programs, system = json.loads(arguments.programs.read_text()), arguments.system
    print("Weak-scaling efficiency\n", efficiency_table(programs), sep="\n")
    for rows in ROWS:
        print(f"\nMilliseconds of a step of {system}, {rows} rows a chip\n")
        print(parts_table(programs, system, rows))
    print(f"\nEfficiency of {system}, R = 32, D = 256: assumptions halved to doubled\n")
    print(sensitivity_table(programs, system, 256))
    print(f"\nD at which a part takes a quarter of {system}'s step on one chip\n")
    print(limits_table(programs, system))
    lengths, origin = workload.sentence_lengths(workload.Sizes().num_sentences)
    print(f"\nEpochs, {origin}\n", epoch_table(lengths), sep="\n")
    print("\nInput\n", input_table(programs, system, arguments.batch_ms), sep="\n")


if __name__ == "__main__":
    main()
