"""What the devices tell each other in one training step, read from the compiled program.

    python -m benchmarks.communication [SYSTEM …]

compiles the step of each system at the sizes of its Penn Treebank config (V = 10,002, sentences of
24 words), for 2 and 8 devices, and adds up what one device gives to the collectives of the
program: the bytes of their operands. Nothing is run, no text is needed.
"""

import os
import sys

# Read by jax when it is first imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")

import importlib
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.layouts import SYSTEMS
from wae_rnf_jax.training.parallel import AXIS, mapped_train_step
from wae_rnf_jax.training.state import build_recipe, initial_state

VOCABULARY, WORDS, COUNTS = 10_002, 24, (2, 8)
_COLLECTIVE = re.compile(
    r"= (?P<result>.*?) "
    r"(?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
_ARRAY = re.compile(r"(?P<type>pred|bf16|[fsuc]\d+)\[(?P<shape>[\d,]*)\]")


class Traffic(NamedTuple):
    """Collectives of a program and the bytes of their operands, by kind; all on one device."""

    numbers: dict[str, int]
    sizes: dict[str, int]


def compiled_step(config, num_devices: int) -> tuple[str, int]:
    """The compiled training step of a configuration, as text, and the bytes of its parameters."""
    devices = jax.local_devices()[:num_devices]
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=1_000, axis_name=AXIS)
    rng = jax.random.key(0)
    state = jax.eval_shape(lambda key: initial_state(config, recipe, key), rng)
    parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.params))
    rows = (num_devices, config.train.batch_size // num_devices)
    batch = {
        "tokens": jax.ShapeDtypeStruct((*rows, WORDS), jnp.int32),
        "lengths": jax.ShapeDtypeStruct(rows, jnp.int32),
        "index": jax.ShapeDtypeStruct(rows, jnp.int32),
        "where": jax.ShapeDtypeStruct(rows, bool),
    }
    step = mapped_train_step(recipe, backend=config.train.backend, devices=devices)
    return step.lower(state, batch, rng).compile().as_text(), parameters


def traffic(program: str, num_devices: int) -> Traffic:
    """Adds up the collectives of a compiled program.

    Raises:
      ValueError: a collective stands in a loop, where the text does not say how often it runs.
    """
    numbers, sizes = {}, {}
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


def main() -> None:
    print("| system | D | collectives | parameters | all-reduce | others |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for system in sys.argv[1:] or SYSTEMS:
        config = importlib.import_module(f"configs.ptb.{system}").get_config()
        for num_devices in COUNTS:
            program, parameters = compiled_step(config, num_devices)
            numbers, sizes = traffic(program, num_devices)
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(numbers.items()))
            reduced = sizes.pop("all-reduce")
            shown = (f"{size:,}" for size in (parameters, reduced, sum(sizes.values())))
            print(f"| `{system}` | {num_devices} | {kinds} |", " | ".join(shown), "|", flush=True)


if __name__ == "__main__":
    main()
