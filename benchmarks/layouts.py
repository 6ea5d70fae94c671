"""The same step on any layout: how far devices and backends change its numbers.

    python -m benchmarks.layouts [SYSTEM …]

takes five steps of plain gradient descent, of every system, on one device without any mapping, and
again on 1, 2, 4 and 8 devices by either backend. Shown is the largest relative difference to the
first: of the losses, of any tensor's gradient in the first step, which all take from the same
parameters, and of the parameters, the running statistics and the codebook after the last. The
sizes are tiny and the batches cover what layouts could get wrong: dropout, batch normalisation,
centres that are found anew, and padded rows, on whole devices too.
"""

import os
import sys

# Read by jax when it is first imported. Eight CPU devices need as many threads to meet.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("NPROC", "64")

from collections.abc import Iterator
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from configs import default, systems
from wae_rnf_jax.training.parallel import (
    AXIS,
    BACKENDS,
    mapped_eval_step,
    mapped_train_step,
    replicate,
    split_rows,
)
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import Recipe, TrainState, eval_step, train_step

SYSTEMS = (
    "lm vae wae wae_nf wae_rnf wae_rnf_attract wae_rnf_repel wae_rnf_state wae_rnf_fisher "
    "wae_paper wae_nf_paper wae_rnf_paper"
).split()
VOCABULARY, ROWS, WORDS = 13, 8, 5
VALID = (8, 6, 8, 7, 3)  # rows of each batch that are no padding
BOUND = 1e-5  # of every relative difference


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
    return getattr(systems, system)(config)


def recipe_and_state(system: str, layout: Layout) -> tuple[Recipe, TrainState]:
    """Recipe and first state; the state of the optimiser is the gradient itself."""
    config = tiny_config(system)
    config.train.accumulate = layout.accumulate
    axis_name = layout.backend and AXIS
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=10, axis_name=axis_name)
    recipe = recipe._replace(optimizer=gradient_descent(0.002))
    return recipe, first_state(system)


@cache
def first_state(system: str) -> TrainState:
    """A system's first state, in the host's memory: steps may take over what they are given."""
    config = tiny_config(system)
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=10, axis_name=None)
    recipe = recipe._replace(optimizer=gradient_descent(0.0))
    return jax.device_get(initial_state(config, recipe, jax.random.key(3)))


def gradient_descent(rate: float) -> optax.GradientTransformation:
    """Plain descent, which hides no wrong scale as Adam does; its state is the last gradient."""
    return optax.GradientTransformation(
        init=partial(jax.tree.map, jnp.zeros_like),
        update=lambda grads, _, params: (jax.tree.map(lambda g: -rate * g, grads), grads),
    )


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


def evaluation(system: str, layout: Layout) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Sums over the valid rows of all batches, and the codes of all rows."""
    step, state = mapped(system, layout, train=False)
    sums: dict[str, float] = {}
    codes = []
    for batch in batches():
        totals, of_rows = jax.device_get(step(state, batch, jax.random.key(8)))
        sums = {name: sums.get(name, 0.0) + float(total) for name, total in totals.items()}
        codes.append(jax.tree.map(lambda x: x.reshape(ROWS, x.shape[-1]), of_rows))
    return sums, jax.tree.map(lambda *x: np.concatenate(x), *codes)


def mapped(system: str, layout: Layout, *, train: bool):
    """A step of batches [B, ...] on a layout, and the first state."""
    recipe, state = recipe_and_state(system, layout)
    if layout.backend is None:
        return jax.jit(partial(train_step if train else eval_step, recipe=recipe)), state
    devices = jax.local_devices()[: layout.num_devices]
    make = mapped_train_step if train else mapped_eval_step
    step = make(recipe, backend=layout.backend, devices=devices)

    def whole(state, batch, rng):
        # CPU devices may wait for each other for ever with several steps in flight.
        return jax.block_until_ready(step(state, split_rows(batch, devices), rng))

    return whole, replicate(state, devices)


def relative_difference(actual, expected) -> float:
    """The largest ‖a − e‖/‖e‖ over two trees' tensors.

    A gradient that is 0 in exact arithmetic, as those of biases before batch normalisation are, is
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


def main() -> None:
    counts = [n for n in (1, 2, 4, 8) if n <= jax.local_device_count()]
    layouts = [Layout(backend, n) for backend in BACKENDS for n in counts]
    print("| system |", " | ".join(f"{x.backend}, D = {x.num_devices}" for x in layouts), "|")
    print("| --- |", " | ".join("---:" for _ in layouts), "|")
    for system in sys.argv[1:] or SYSTEMS:
        alone = outcome(system, Layout(None))
        cells = [f"{difference(outcome(system, x), alone):.1e}" for x in layouts]
        print(f"| `{system}` |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
