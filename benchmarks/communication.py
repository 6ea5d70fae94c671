"""What the devices tell each other in one training step, read from the compiled program.

    python -m benchmarks.communication [SYSTEM …] [--layout=D:ROWS …] [--groups] [--output=FILE]

compiles the step of each system at the sizes of its Penn Treebank config (V = 10,002, sentences of
24 words), for D devices with so many rows each, and adds up what one device gives to the
collectives of the program: the bytes of their operands. Nothing is run, no text is needed. With
`--groups`, MMD is within each device's own rows. With
`--topology=v5e:2x4` (or any that libtpu knows; needs `jax[tpu]`, but no TPU) it is the compiler for
TPUs that is asked. What the file already holds of other programs stays in it.
"""

import os

# Read by jax when it is first imported. Which collectives a program has does not depend on how
# well the code between them is optimized, which is most of the work of compiling.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import argparse
import importlib
import json
import re
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from benchmarks.layouts import SYSTEMS
from wae_rnf_jax.training.estimate import abstract_batch, abstract_key, step_flops, tree_size
from wae_rnf_jax.training.parallel import AXIS, BACKENDS, mapped_train_step
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import train_step

VOCABULARY, WORDS = 10_002, 24
LAYOUTS = ("2:32", "4:32", "8:32")  # D and the rows of each device
KINDS = ("all-reduce", "all-gather", "reduce-scatter")
_COLLECTIVE = re.compile(
    r"= (?P<result>.*?) "
    r"(?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
_ARRAY = re.compile(r"(?P<type>pred|bf16|[fsuc]\d+)\[(?P<shape>[\d,]*)\]")


class Traffic(NamedTuple):
    """Collectives of a program and the bytes of their operands, by kind; all on one device."""

    numbers: dict[str, int]
    sizes: dict[str, int]


def compiled_step(
    config: Any, num_devices: int, *, devices: Sequence[jax.Device] | None = None
) -> tuple[str, int]:
    """The compiled training step of a configuration, as text, and the bytes of its parameters."""
    devices = devices or jax.local_devices()[:num_devices]
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=1_000, axis_name=AXIS)
    state = jax.eval_shape(lambda key: initial_state(config, recipe, key), abstract_key())
    batch = abstract_batch((num_devices, config.train.batch_size // num_devices), WORDS)
    step = mapped_train_step(recipe, backend=config.train.backend, devices=devices)
    program = step.lower(state, batch, abstract_key()).compile().as_text()
    return program, tree_size(state.params)[1]


def traffic(program: str, num_devices: int) -> Traffic:
    """Adds up the collectives of a compiled program.

    Raises:
      ValueError: a collective stands in a loop, where the text does not say how often it runs.
    """
    numbers, sizes, overlapped = {}, {}, set()
    loops = set(re.findall(r"body=%?([\w.-]+)", program))
    computation = ""
    for line in program.splitlines():
        if line and not line[0].isspace():
            computation = line.removeprefix("ENTRY ").split()[0].removeprefix("%")
        found = _COLLECTIVE.search(line)
        if not found:
            continue
        if computation in loops:
            raise ValueError(f"a collective stands in the loop {computation}: {line.strip()}")
        kind = found["kind"]
        if "async_collective_fusion" in line:
            # Compilers for TPUs write a collective that runs beside other work once for each piece
            # of that work.
            of_source = (kind, line.partition("metadata=")[2].partition("}")[0])
            if of_source in overlapped:
                continue
            overlapped.add(of_source)
        size = sum(_num_bytes(array) for array in _ARRAY.finditer(found["result"]))
        # Results are counted where all devices' operands lie side by side, or one's share of them.
        size = size // num_devices if kind == "all-gather" else size
        size = size * num_devices if kind == "reduce-scatter" else size
        numbers[kind] = numbers.get(kind, 0) + 1
        sizes[kind] = sizes.get(kind, 0) + size
    return Traffic(numbers, sizes)


def _num_bytes(array: re.Match) -> int:
    bits = 8 if array["type"] == "pred" else int(re.sub(r"\D", "", array["type"]))
    return bits // 8 * int(np.prod([int(size) for size in array["shape"].split(",") if size]))


def loop_cycles(program: str) -> dict[str, int]:
    """Cycles of one iteration of the loops, and of the rest, as the compiler for TPUs estimates.

    Args:
      program: as text; other compilers write no estimates into it.

    Returns:
      Cycles by the place in the source that a loop comes from, one iteration of each of its loops;
      "" is what is in no loop.
    """
    cycles: dict[str, int] = {}
    bodies: dict[str, str] = {}
    computation = entry = ""
    for line in program.splitlines():
        if line and not line[0].isspace():
            computation = line.removeprefix("ENTRY ").split()[0].removeprefix("%")
            entry = computation if line.startswith("ENTRY ") else entry
        if found := re.search(r'"estimated_cycles":"(\d+)"', line):
            cycles[computation] = cycles.get(computation, 0) + int(found[1])
        if found := re.search(
            r'body=%?([\w.-]+).*op_name="(?:jit\(\w+\)/shard_map/)?([^"]*)"', line
        ):
            bodies[found[1]] = found[2]
    sums: dict[str, int] = {}
    for name, place in {entry: "", **bodies}.items():
        if name in cycles:
            sums[place] = sums.get(place, 0) + cycles[name]
    return sums


def ring_bytes(sizes: dict[str, int], num_devices: int) -> float:
    """Bytes that one device sends to its neighbor, each collective around a ring of D.

    Args:
      sizes: bytes of the operands, by kind: a device's own share for all-gather, all devices' for
        reduce-scatter.
      num_devices: D.
    """
    share = (num_devices - 1) / num_devices
    return (
        2 * share * sizes.get("all-reduce", 0)
        + share * num_devices * sizes.get("all-gather", 0)
        + share * sizes.get("reduce-scatter", 0)
    )


def measured(
    system: str,
    num_devices: int,
    rows: int,
    *,
    backend: str,
    topology: str | None,
    groups: bool = False,
) -> dict[str, Any]:
    """Compiles a system's step and returns its traffic, parameters and arithmetic.

    The compiler is "cpu" or "tpu".

    Args:
      system: a file of configs/ptb.
      num_devices: D.
      rows: of each device.
      backend: of CPU devices; those of a topology are mapped by shard_map.
      topology: of TPUs, D of them; None for CPU devices.
      groups: whether MMD is within the rows of each device.
    """
    config = importlib.import_module(f"configs.ptb.{system}").get_config()
    group = rows if groups else 0
    config.train.update(batch_size=num_devices * rows, backend=backend, mmd_group=group)
    devices = None
    if topology:
        from jax.experimental import topologies

        devices = topologies.get_topology_desc(topology, platform="tpu").devices
        if len(devices) != num_devices:  # a v4 chip is two
            raise ValueError(f"{topology} is {len(devices)} devices, not {num_devices}")
        config.train.backend = "shard_map"  # pmap takes devices that are there
    program, parameters = compiled_step(config, num_devices, devices=devices)
    numbers, sizes = traffic(program, num_devices)
    found = {
        "system": system,
        "compiler": "tpu" if topology else "cpu",
        "devices": num_devices,
        "rows": rows,
        "mmd_group": group,
        "parameters": parameters,
        "numbers": numbers,
        "bytes": sizes,
        **arithmetic(system, rows),
    }
    return found | ({"topology": topology, "cycles": loop_cycles(program)} if topology else {})


@cache
def arithmetic(system: str, rows: int) -> dict[str, int]:
    """FLOPs of the matrix products of a step on so many rows, and iterations of its loops."""
    config = importlib.import_module(f"configs.ptb.{system}").get_config()
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=1_000, axis_name=None)
    state = jax.eval_shape(lambda key: initial_state(config, recipe, key), abstract_key())
    step = partial(train_step, recipe=recipe)
    traced = jax.make_jaxpr(step)(state, abstract_batch((rows,), WORDS), abstract_key())
    return {
        "flops": step_flops(recipe, state, batch_size=rows, length=WORDS),
        "iterations": loop_iterations(traced.jaxpr),
    }


def loop_iterations(jaxpr: Any) -> int:
    """How many iterations of innermost loops a program runs, one after another.

    A loop of unknown length counts once, as the cross entropy's over its blocks; of the branches of
    a condition the one with the fewest, as `estimate.matrix_flops` takes the cheapest.
    """
    total = 0
    for equation in jaxpr.eqns:
        inner = [loop_iterations(part) for part in jaxprs_in_params(equation.params)]
        name = equation.primitive.name
        if name == "scan":
            total += equation.params["length"] * max(1, sum(inner))
        elif name == "while":
            total += max(1, sum(inner))
        elif name == "cond":
            total += min(inner)
        else:
            total += sum(inner)
    return total


def table_row(found: dict[str, Any]) -> str:
    """A program's line of the table."""
    numbers, sizes, num_devices = found["numbers"], found["bytes"], found["devices"]
    kinds = " + ".join(str(numbers.get(kind, 0)) for kind in KINDS)
    shown = (f"{sizes.get(kind, 0):,}" for kind in KINDS)
    cells = [f"`{found['system']}`", str(num_devices), str(found["rows"]), kinds, *shown]
    return f"| {' | '.join(cells)} | {ring_bytes(sizes, num_devices):,.0f} |"


def kept(output: Path, new: dict[str, Any]) -> None:
    """Writes a program's values into the file, in the place of older ones of the same program."""
    rows = json.loads(output.read_text()) if output.exists() else []
    key = ("system", "compiler", "devices", "rows", "mmd_group")
    rows = [row for row in rows if any(row[name] != new[name] for name in key)] + [new]
    rows.sort(key=lambda row: [str(row[name]).zfill(4) for name in key])
    lines = ",\n".join(json.dumps(row) for row in rows)
    output.write_text(f"[\n{lines}\n]\n")


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("systems", nargs="*", metavar="SYSTEM", help="all if none is named")
    flags.add_argument("--layout", action="append", help="D:ROWS; may be repeated")
    flags.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0], help="of CPU devices")
    flags.add_argument("--groups", action="store_true", help="MMD within a device's rows")
    flags.add_argument("--topology", help="of TPUs, such as v5e:2x4: ask their compiler")
    flags.add_argument("--output", type=Path, help="JSON file to write")
    arguments = flags.parse_args(argv)
    print("| system | D | rows each | collectives |", " | ".join(KINDS), "| over a link |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for system in arguments.systems or SYSTEMS:
        for layout in arguments.layout or LAYOUTS:
            num_devices, rows = (int(number) for number in layout.split(":"))
            found = measured(
                system,
                num_devices,
                rows,
                backend=arguments.backend,
                topology=arguments.topology,
                groups=arguments.groups,
            )
            print(table_row(found), flush=True)
            if arguments.output:
                kept(arguments.output, found)


if __name__ == "__main__":
    main()
