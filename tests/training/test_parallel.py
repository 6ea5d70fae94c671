"""What the mapping does on one device; tests/training/test_layouts.py has four."""

import jax
import numpy as np

from tests.training.test_step import tiny_recipe
from wae_rnf_jax.training import parallel


def lowered(batch, rng):
    recipe, state = tiny_recipe("lm")
    recipe = recipe._replace(model=recipe.model.clone(axis_name=parallel.axis_name()))
    rows = parallel.split_rows({name: np.asarray(x) for name, x in batch.items()})
    step = parallel.mapped_train_step(recipe)
    return rows, step.lower(state, rows, rng).as_text()


def test_one_device_reduces_over_nothing(batch, rng, monkeypatch):
    rows, text = lowered(batch, rng)
    assert rows["tokens"].shape[:2] == (jax.device_count(), 8 // jax.device_count())
    assert "all_reduce" in text
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    rows, text = lowered(batch, rng)
    assert rows["tokens"].shape[0] == 8
    assert "all_reduce" not in text
    placed = parallel.replicate({"x": np.ones(2)})["x"]
    assert placed.devices() == {jax.local_devices()[0]}
