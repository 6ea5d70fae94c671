"""How far bfloat16 moves a training step's loss and gradient, at the sizes of the Penn Treebank.

    python -m benchmarks.precision

takes one step of `wae_rnf` from the same parameters, sentences and keys with `model.dtype` float32
and bfloat16, dropout included. The sentences are random words, of no corpus.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # read by jax when it is first imported

from functools import partial

import jax
import numpy as np

from benchmarks.layouts import descending
from configs.ptb import wae_rnf
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import train_step

VOCABULARY, WORDS = 10_002, 24


def random_batch(rows: int) -> dict[str, np.ndarray]:
    """Sentences of 1 to 24 random words."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, WORDS + 1, rows).astype(np.int32)
    tokens = rng.integers(4, VOCABULARY, (rows, WORDS)).astype(np.int32)
    tokens[np.arange(WORDS)[None] >= lengths[:, None]] = 0
    index = np.arange(rows, dtype=np.int32)
    return {"tokens": tokens, "lengths": lengths, "index": index, "where": np.ones(rows, bool)}


def loss_and_gradient(dtype: str) -> tuple[float, dict]:
    config = wae_rnf.get_config()
    config.model.dtype = dtype
    recipe = build_recipe(config, VOCABULARY, steps_per_epoch=1_000, axis_name=None)
    recipe = descending(recipe, rate=0.0)
    state = initial_state(config, recipe, jax.random.key(0))
    step = jax.jit(partial(train_step, recipe=recipe))
    state, metrics = step(state, random_batch(config.train.batch_size), jax.random.key(1))
    return float(metrics["loss"]), state.opt_state


def main() -> None:
    (loss, gradient), (expected, exact) = (loss_and_gradient(x) for x in ("bfloat16", "float32"))
    pairs = list(zip(jax.tree.leaves(gradient), jax.tree.leaves(exact), strict=True))
    difference = np.sqrt(sum(np.square(a - e).sum() for a, e in pairs))
    size = np.sqrt(sum(np.square(e).sum() for _, e in pairs))
    print(f"loss {expected:.4f}, in bfloat16 {loss:.4f}: relative {abs(loss / expected - 1):.1e}")
    print(f"gradient: relative difference {difference / size:.1e}")


if __name__ == "__main__":
    main()
