"""The average of the parameters: what it is, and that validation and evaluation take it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import eval_step, resumed_alike, tiny_config, train_step
from wae_rnf_jax.functional.dropout import example_dropout
from wae_rnf_jax.runs.snapshots import read_snapshot
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.runs.workdir import fingerprint, read_config
from wae_rnf_jax.training.state import build_recipe, initial_state


def recipe_and_state(average):
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.train.update(average=average, learning_rate_decay="none", learning_rate=0.01)
    recipe = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    return recipe, initial_state(config, recipe, jax.random.key(0))


def test_it_is_the_exponential_average(batch, rng):
    recipe, state = recipe_and_state(0.5)
    expected = np.asarray(state.params["embedding"])
    for step in range(1, 15):
        state, _ = train_step(state, batch, rng, recipe=recipe)
        kept = min(0.5, step / (step + 9))
        expected = kept * expected + (1 - kept) * np.asarray(state.params["embedding"])
    np.testing.assert_allclose(state.average["embedding"], expected, rtol=1e-5, atol=1e-7)
    assert np.abs(expected - state.params["embedding"]).max() > 1e-4


def test_after_a_stage_it_is_soon_of_the_new_draw(batch, rng):
    recipe, state = recipe_and_state(0.999)
    later = state.replace(step=jnp.asarray(10_000), procedure=jnp.asarray(9_999))
    stage = recipe.procedure._replace(clock=lambda state: state.step - state.procedure)
    after, _ = train_step(later, batch, rng, recipe=recipe._replace(procedure=stage))
    first = np.asarray(state.average["embedding"])
    moved = np.asarray(after.params["embedding"]) - first
    kept = 2 / 11  # two steps after the stage began
    np.testing.assert_allclose(after.average["embedding"] - first, (1 - kept) * moved, atol=1e-6)
    assert np.abs(moved).max() > 1e-4


def test_validation_takes_it_and_training_does_not(batch, rng):
    recipe, state = recipe_and_state(0.9)
    plain, without = recipe_and_state(0.0)
    assert without.average is None
    for _ in range(4):
        state, metrics = train_step(state, batch, rng, recipe=recipe)
        without, expected = train_step(without, batch, rng, recipe=plain)
    assert float(metrics["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-6)
    alike = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)  # two programs round apart
    jax.tree.map(alike, state.params, without.params)
    of_average, _ = eval_step(without.replace(params=state.average), batch, rng, recipe=plain)
    found, _ = eval_step(state, batch, rng, recipe=recipe)
    assert float(found["neg_elbo"]) == pytest.approx(float(of_average["neg_elbo"]), rel=1e-6)
    of_last, _ = eval_step(without, batch, rng, recipe=plain)
    assert float(found["neg_elbo"]) != float(of_last["neg_elbo"])


def test_a_trained_model_is_the_average_and_resumes_bit_for_bit(config, tmp_path, monkeypatch):
    config.train.update(average=0.9, num_epochs=1, select="last")
    whole = resumed_alike(config, tmp_path, monkeypatch, stop=2)
    path = whole / "checkpoints" / "latest" / "5"
    saved = read_snapshot(path, run=fingerprint(read_config(whole)))[0]["state"]
    embedding = load_trained_model(whole).model.variables["params"]["embedding"]
    np.testing.assert_array_equal(embedding, saved["average"]["embedding"])
    assert np.any(np.asarray(embedding) != np.asarray(saved["params"]["embedding"]))


def test_locked_dropout_drops_the_same_entries_at_all_steps(key):
    keys = jax.random.split(key, 3)
    dropped = example_dropout(keys, jnp.ones((3, 5, 40)), rate=0.5, locked=True)
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], dropped.shape))
    assert np.any(dropped[0] != dropped[1])
    assert set(np.unique(dropped)) == {0.0, 2.0}
