"""The same step on any layout: how far devices and backends change its numbers.

    python -m benchmarks.layouts [SYSTEM …]

takes five steps of plain gradient descent, of every system, on one device without any mapping, and
again by either backend on 1, 2, 4 and 8 devices, and on 2 devices of each of 2 processes. Shown is
the largest relative difference to the first: of the losses, of any tensor's gradient in the first
step, which all take from the same parameters, and of the parameters, the running statistics and the
codebook after the last. The sizes are tiny and the batches cover what layouts could get wrong:
dropout, batch normalization, centers that are found anew, and padded rows, on whole devices too.
"""

import os
import pickle
import socket
import subprocess
import sys
import tempfile

# Read by jax when it is first imported. Eight CPU devices need as many threads to meet.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("NPROC", "64")

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from configs import default, systems
from wae_rnf_jax.jobs.processes import Job, is_first, member_of
from wae_rnf_jax.training.config_check import complete_config
from wae_rnf_jax.training.parallel import (
    AXIS,
    BACKENDS,
    mapped_eval_step,
    mapped_train_step,
    replicate,
    split_rows,
)
from wae_rnf_jax.training.parts import PARTS, part_labels
from wae_rnf_jax.training.recipe import Recipe, TrainState
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import eval_step, train_step

SYSTEMS = (
    "lm vae wae wae_nf wae_rnf wae_rnf_attract wae_rnf_repel wae_rnf_state wae_rnf_fisher "
    "wae_paper wae_nf_paper wae_rnf_paper vmf wae_vmf dilated_cnn cyclical bn_vae bilstm "
    "transformer semi_amortized lagging free_bits wae_rnf_pretrained"
).split()
VOCABULARY, ROWS, WORDS = 13, 8, 5
VALID = (8, 6, 8, 7, 3)  # rows of each batch that are no padding
BOUND = 1e-5  # of every relative difference
PROCESSES, OWN_DEVICES = 2, 2  # of the layout of several processes, and of each of them


class Layout(NamedTuple):
    """How a step is taken; no backend is no mapping."""

    backend: str | None
    num_devices: int = 1
    accumulate: int = 1


class Outcome(NamedTuple):
    """What the steps left; two layouts' are compared."""

    losses: np.ndarray  # one a step
    gradient: dict  # the first step's
    state: TrainState


def tiny_config(system: str):
    """A system's configuration at the smallest sizes, with everything random switched on."""
    config = default.get_config()
    config.model.update(embedding_dim=6, hidden_dim=6, latent_dim=3, num_flow_steps=2)
    config.model.update(cross_entropy_block=64, dropout=0.3, word_dropout=0.2)
    config.model.initializer = "pytorch"
    config.codebook.update(num_centers=3, num_codes=32, warm_up=1, refresh_every=2)
    config.kl_weight.update(start=0, length=10)
    config.train.update(batch_size=ROWS)
    config = getattr(systems, system)(config)
    for part in (config.encoder, config.decoder):
        if part.name == "transformer":
            part.num_heads = 3
    if system == "lagging":
        config.procedure.update(window=1, most_encoder_steps=2)  # all turns within the steps
    complete_config(config)
    return config


def recipe_and_state(system: str, layout: Layout) -> tuple[Recipe, TrainState]:
    """Recipe and first state; the state of the optimizer is the gradient itself."""
    config = tiny_config(system)
    config.train.accumulate = layout.accumulate
    axis_name = layout.backend and AXIS
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=10, axis_name=axis_name)
    return descending(recipe, rate=0.002), first_state(system)


@cache
def first_state(system: str) -> TrainState:
    """A system's first state, in the host's memory: steps may take over what they are given."""
    config = tiny_config(system)
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=10, axis_name=None)
    recipe = descending(recipe, rate=0.0)
    return jax.device_get(initial_state(config, recipe, jax.random.key(3)))


def descending(recipe: Recipe, *, rate: float) -> Recipe:
    """Plain descent, which hides no wrong scale as Adam does; its state is the last gradient."""
    optimizer = optax.GradientTransformation(
        init=partial(jax.tree.map, jnp.zeros_like),
        update=lambda grads, _, params=None: (grads, grads),
    )
    if recipe.procedure.by_part:
        by_part = optax.partition(dict.fromkeys(PARTS, optimizer), part_labels)
        optimizer = optax.chain(optax.identity(), by_part)
    return recipe._replace(optimizer=optimizer, learning_rate=optax.constant_schedule(rate))


def batches() -> Iterator[dict[str, np.ndarray]]:
    """Five batches of eight rows; padded rows come last, as the data pipeline has them."""
    rng = np.random.default_rng(0)
    for valid in VALID:
        where = np.arange(ROWS) < valid
        lengths = np.where(where, rng.integers(1, WORDS + 1, ROWS), 0).astype(np.int32)
        tokens = rng.integers(4, VOCABULARY, (ROWS, WORDS)).astype(np.int32)
        tokens[np.arange(WORDS)[None] >= lengths[:, None]] = 0
        index = np.where(where, rng.permutation(90)[:ROWS], 0).astype(np.int32)
        yield {"tokens": tokens, "lengths": lengths, "index": index, "where": where}


def outcome(system: str, layout: Layout) -> Outcome:
    """Takes the steps of a system on a layout."""
    step, state = mapped(system, layout, train=True)
    losses, gradient = [], None
    for batch in batches():
        state, metrics = step(state, batch, jax.random.key(7))
        losses.append(np.asarray(metrics["loss"]))
        gradient = gradient or jax.device_get(state.opt_state)
    return Outcome(np.array(losses), gradient, jax.device_get(state))


def evaluation(system: str, layout: Layout) -> tuple[dict[str, float], tuple]:
    """Sums over the valid rows of all batches, and z0 and posteriors of all rows."""
    step, state = mapped(system, layout, train=False)
    sums: dict[str, float] = {}
    codes = []
    for batch in batches():
        totals, of_rows = jax.device_get(step(state, batch, jax.random.key(8)))
        sums = {name: sums.get(name, 0.0) + float(total) for name, total in totals.items()}
        lead = of_rows[0].ndim - 1  # [B] or [D, B/D]
        codes.append(jax.tree.map(lambda x, n=lead: x.reshape(ROWS, *x.shape[n:]), of_rows))
    return sums, jax.tree.map(lambda *x: np.concatenate(x), *codes)


def mapped(system: str, layout: Layout, *, train: bool):
    """A step of batches [B, ...] on a layout, and the first state."""
    recipe, state = recipe_and_state(system, layout)
    if layout.backend is None:
        return jax.jit(partial(train_step if train else eval_step, recipe=recipe)), state
    devices = jax.devices()[: layout.num_devices]
    share = ROWS // jax.process_count()
    own = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    make = mapped_train_step if train else mapped_eval_step
    step = make(recipe, backend=layout.backend, devices=devices)

    def whole(state, batch, rng):
        batch = {name: x[own] for name, x in batch.items()}
        # CPU devices may wait for each other for ever with several steps in flight.
        return jax.block_until_ready(step(state, split_rows(batch, devices), rng))

    return whole, replicate(state, devices)


def relative_difference(actual, expected) -> float:
    """The largest ‖a − e‖/‖e‖ over two trees' tensors.

    A gradient that is 0 in exact arithmetic, as those of biases before batch normalization are, is
    nothing but rounding: tensors below 10⁻⁵ of the norm of all are measured against that norm.
    """
    pairs = [
        (np.asarray(a, np.float64), np.asarray(e, np.float64))
        for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    ]
    norms = [np.sqrt(np.square(e).sum()) for _, e in pairs]
    whole = np.sqrt(np.square(norms).sum())
    return max(
        float(np.sqrt(np.square(a - e).sum()) / (norm if norm > 1e-5 * whole else whole))
        for (a, e), norm in zip(pairs, norms, strict=True)
    )


def difference(actual: Outcome, expected: Outcome) -> float:
    """The largest relative difference of two outcomes."""
    pairs = [
        (actual.losses, expected.losses),
        (actual.gradient, expected.gradient),
        (actual.state.params, expected.state.params),
        (actual.state.batch_stats, expected.state.batch_stats),
        (actual.state.codebook, expected.state.codebook),
    ]
    return max(relative_difference(a, e) for a, e in pairs if jax.tree.leaves(e))


def outcomes_of_processes(systems: Sequence[str]) -> dict[tuple[str, str], Outcome]:
    """Takes the steps in several processes; returns what they left, by system and backend."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(OWN_DEVICES)}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "outcomes"
        processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",  # as a module of its own name, by which pickle finds its classes
                    "from benchmarks import layouts; layouts.main()",
                    f"--process={i},{port},{result}",
                    *systems,
                ],
                env=environment,
                cwd=Path(__file__).parents[1],
            )
            for i in range(PROCESSES)
        ]
        codes = [process.wait() for process in processes]
        if any(codes):
            raise RuntimeError(f"the processes ended with codes {codes}")
        return pickle.loads(result.read_bytes())


def one_process(number: int, port: int, result: Path, systems: Sequence[str]) -> None:
    """What each of several processes does; process 0 writes what the steps left."""
    with member_of(Job(f"127.0.0.1:{port}", PROCESSES, number, heartbeat_timeout=30)):
        layouts = {backend: Layout(backend, PROCESSES * OWN_DEVICES) for backend in BACKENDS}
        outcomes = {
            (system, backend): outcome(system, layout)
            for system in systems
            for backend, layout in layouts.items()
        }
        if is_first():
            result.write_bytes(pickle.dumps(outcomes))


def main() -> None:
    if sys.argv[1:2] and sys.argv[1].startswith("--process="):
        number, port, result = sys.argv[1].partition("=")[2].split(",", 2)
        one_process(int(number), int(port), Path(result), sys.argv[2:])
        return
    chosen = sys.argv[1:] or SYSTEMS
    counts = [n for n in (1, 2, 4, 8) if n <= jax.local_device_count()]
    layouts = [Layout(backend, n) for backend in BACKENDS for n in counts]
    heads = [f"{x.backend}, D = {x.num_devices}" for x in layouts]
    heads += [f"{backend}, {PROCESSES} × {OWN_DEVICES}" for backend in BACKENDS]
    print("| system |", " | ".join(heads), "|")
    print("| --- |", " | ".join("---:" for _ in heads), "|", flush=True)
    of_processes = outcomes_of_processes(chosen)
    for system in chosen:
        alone = outcome(system, Layout(None))
        found = [outcome(system, x) for x in layouts]
        found += [of_processes[system, backend] for backend in BACKENDS]
        cells = [f"{difference(x, alone):.1e}" for x in found]
        print(f"| `{system}` |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
