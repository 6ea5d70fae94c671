"""CPU time of a training step by either backend, in one run.

    python -m benchmarks.backends

trains `wae_rnf` at the sizes of the Penn Treebank on four CPU devices, on random words, by turns of
five steps with `pmap` and five with `shard_map`, and shows the median CPU seconds of a step.
"""

import os

# Read by jax when it is first imported. Four CPU devices need as many threads to meet.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("NPROC", "64")

import time

import jax
import numpy as np

from benchmarks.precision import VOCABULARY, random_batch
from configs.ptb import wae_rnf
from wae_rnf_jax.training.parallel import (
    BACKENDS,
    axis_name,
    mapped_train_step,
    replicate,
    split_rows,
)
from wae_rnf_jax.training.state import build_recipe, initial_state

TURNS, STEPS = 7, 5


def main() -> None:
    config = wae_rnf.get_config()
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=1_000, axis_name=axis_name())
    batch, rng = split_rows(random_batch(config.train.batch_size)), replicate(jax.random.key(1))
    steps = {backend: mapped_train_step(recipe, backend=backend) for backend in BACKENDS}
    states = {b: replicate(initial_state(config, recipe, jax.random.key(0))) for b in BACKENDS}
    seconds: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    for turn in range(TURNS + 1):
        for backend, step in steps.items():
            start = time.process_time()
            for _ in range(STEPS):
                states[backend], _ = jax.block_until_ready(step(states[backend], batch, rng))
            if turn:  # the first compiles
                seconds[backend].append((time.process_time() - start) / STEPS)
    medians = {backend: float(np.median(times)) for backend, times in seconds.items()}
    for backend, times in seconds.items():
        print(
            f"{backend}: {medians[backend]:.3f} CPU-seconds a step "
            f"({min(times):.3f} to {max(times):.3f}), "
            f"{medians[backend] / medians[BACKENDS[0]]:.2f} of {BACKENDS[0]}"
        )


if __name__ == "__main__":
    main()
