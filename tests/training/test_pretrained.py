"""Stages: their λ and their end, what is drawn anew between them, and a kill in the change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import (
    assert_same_models,
    lines_of,
    resumed_alike,
    stop_after,
    tiny_config,
    train_step,
)
from wae_rnf_jax.models.autoencoder import initial_variables
from wae_rnf_jax.runs.checkpoint import Checkpoints
from wae_rnf_jax.training import loop
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.parts import part_labels
from wae_rnf_jax.training.state import build_recipe, idle_stage, initial_state


def pretrained_config(config, **settings):
    stage = {"kl_weights": (0.0,), "max_steps": (10,), "patience": (0,), "reset": ("decoder",)}
    with config.unlocked():
        config.procedure = type(config)({"name": "pretrained", **stage, **settings})
    check_config(config)
    return config


def recipe_and_state(batch_norm=False, **settings):
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.posterior.batch_norm = batch_norm
    pretrained_config(config, **settings)
    recipe = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    return recipe, initial_state(config, recipe, jax.random.key(0))


def parts_of(tree, labels):
    """The leaves of each part."""
    parts = {}
    for label, leaf in zip(jax.tree.leaves(labels), jax.tree.leaves(tree), strict=True):
        parts.setdefault(label, []).append(leaf)
    return parts


@pytest.mark.parametrize("reset", ["encoder", "decoder", "none"])
def test_reset_parts_equal_a_fresh_draw_and_the_others_do_not_move(reset, batch, rng):
    recipe, state = recipe_and_state(batch_norm=True, reset=(reset,), max_steps=(2,))
    for _ in range(2):
        state, _ = train_step(state, batch, rng, recipe=recipe)
    key = jax.random.key(3)
    after, restart = recipe.procedure.event(state, key, {"rec": 9.0}, recipe=recipe)
    assert restart
    labels = part_labels(state.params)
    fresh = initial_variables(recipe.model, jax.random.fold_in(key, 0))
    before, now, drawn = (
        parts_of(tree, labels) for tree in (state.params, after.params, fresh["params"])
    )
    for part in ("encoder", "decoder", "embedding"):
        expected = drawn if part == reset else before
        jax.tree.map(np.testing.assert_array_equal, now[part], expected[part])
        first = recipe.optimizer.init(state.params)
        source = first if part == reset else state.opt_state
        jax.tree.map(
            np.testing.assert_array_equal,
            after.opt_state[1].inner_states[part],
            source[1].inner_states[part],
        )
    moved = any(np.any(a != b) for a, b in zip(before["decoder"], drawn["decoder"], strict=True))
    assert moved
    expected = fresh["batch_stats"] if reset == "encoder" else state.batch_stats
    jax.tree.map(np.testing.assert_array_equal, after.batch_stats, expected)
    assert int(after.step) == 2
    assert [int(x) for x in after.procedure[:2]] == [1, 2]


@pytest.mark.parametrize("reset", ["encoder", "decoder"])
def test_codes_of_an_encoder_that_is_drawn_anew_are_forgotten(reset):
    config = pretrained_config(tiny_config(), reset=(reset,), max_steps=(2,))
    recipe = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    state = initial_state(config, recipe, jax.random.key(0))
    fresh = state.codebook
    used = fresh._replace(ready=jnp.asarray(True), codes=fresh.codes + 1, spreads=fresh.spreads + 1)
    state = state.replace(codebook=used, step=jnp.asarray(2, jnp.int32))
    after, _ = recipe.procedure.event(state, jax.random.key(3), {"rec": 9.0}, recipe=recipe)
    expected = fresh if reset == "encoder" else used
    jax.tree.map(np.testing.assert_array_equal, after.codebook, expected)


def test_every_stage_has_its_own_weight_and_clock(batch, rng):
    recipe, state = recipe_and_state(
        kl_weights=(0.25, 0.5), max_steps=(2, 1), patience=(0, 0), reset=("none", "none")
    )
    procedure, weights, totals = recipe.procedure, [], []
    for _ in range(6):
        state, metrics = train_step(state, batch, rng, recipe=recipe)
        weights.append(float(metrics["kl_weight"]))
        state, _ = procedure.event(state, rng, {"rec": 9.0 - int(state.step)}, recipe=recipe)
        totals.append(procedure.num_steps(state, 10))
    # The schedule of tiny_config rises by .1 a step, counted from the last stage's first.
    np.testing.assert_allclose(weights, [0.25, 0.25, 0.5, 0.0, 0.1, 0.2], atol=1e-6)
    assert totals == [13] * 6
    assert procedure.selects(state)


def test_a_plateau_of_the_reconstruction_ends_a_stage():
    recipe, state = recipe_and_state(max_steps=(1000,), patience=(2,))
    stages = []
    for number, rec in enumerate((9.0, 8.0, 8.5, 7.5, 7.6, 7.5, 7.0)):
        state = state.replace(step=jnp.asarray(5 * number + 5, jnp.int32))
        state, restart = recipe.procedure.event(
            state, jax.random.key(0), {"rec": rec}, recipe=recipe
        )
        stages.append(int(state.procedure.stage))
        assert restart == (number == 5)
    assert stages == [0, 0, 0, 0, 0, 1, 1]
    assert recipe.procedure.num_steps(state, 100) == 30 + 100


@pytest.mark.parametrize("rec", [49.123456789, 49.123458789, 107.3333333])
def test_the_very_same_reconstruction_is_no_gain(rec):
    """The best one is kept in single precision, which may be above the number itself."""
    recipe, state = recipe_and_state(max_steps=(1000,), patience=(2,))
    restarts = []
    for _ in range(3):
        state, restart = recipe.procedure.event(
            state, jax.random.key(0), {"rec": rec}, recipe=recipe
        )
        restarts.append(restart)
    assert restarts == [False, False, True]


def test_a_stage_at_whose_end_the_learning_rate_is_0_is_warned_of():
    config = pretrained_config(tiny_config(name="vae"), max_steps=(10,))
    config.train.learning_rate_decay = "cosine"
    assert idle_stage(config, 10) is None
    assert "takes up to 10 steps, but the learning rate is 0 after 9" in idle_stage(config, 9)
    config.train.learning_rate_decay = "none"
    assert idle_stage(config, 9) is None
    assert idle_stage(tiny_config(), 1) is None


def test_the_run_counts_its_epochs_from_the_last_stage_and_selects_in_it(config, tmp_path):
    pretrained_config(config, max_steps=(10,))
    config.kl_weight.update(start=-10, length=1)
    config.train.update(num_epochs=3, log_every=1)
    workdir = loop.train(config, tmp_path / "run")
    weights = [line["kl_weight"] for line in lines_of(workdir, "train")]
    assert len(weights) == 10 + 15
    np.testing.assert_allclose(weights[:10], 0)
    np.testing.assert_allclose(weights[10:], 0.8, rtol=1e-6)
    best = [int(path.name) for path in (workdir / "checkpoints" / "best").iterdir()]
    assert min(best) > 10


@pytest.mark.parametrize("moment", ["signal", "kill before saving", "kill after saving"])
def test_a_stop_in_the_change_of_a_stage_loses_nothing(moment, config, tmp_path, monkeypatch):
    pretrained_config(config, max_steps=(5,))
    config.train.update(num_epochs=2, select="last", log_every=1)
    whole = loop.train(config, tmp_path / "whole")

    class Killed(Exception):
        pass

    save = Checkpoints.save

    def killing(checkpoints, state, *args, **options):
        if int(state.step) == 5 and moment == "kill before saving":
            raise Killed
        save(checkpoints, state, *args, **options)
        if int(state.step) == 5:
            raise Killed

    with monkeypatch.context() as patch:
        if moment == "signal":  # before the validation that ends the stage
            stop_after(patch, 5)
        else:
            patch.setattr(Checkpoints, "save", killing)
        with pytest.raises(loop.Interrupted if moment == "signal" else Killed):
            loop.train(config, tmp_path / "parts")
    loop.train(config, tmp_path / "parts")
    assert_same_models(whole, tmp_path / "parts")
    for split in ("train", "valid"):
        kept = [
            [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]
            for lines in (lines_of(whole, split), lines_of(tmp_path / "parts", split))
        ]
        assert kept[0] == kept[1]


@pytest.mark.parametrize("stop", [3, 8])
def test_it_resumes_bit_for_bit_in_either_stage(stop, config, tmp_path, monkeypatch):
    pretrained_config(config, max_steps=(5,))
    config.train.update(num_epochs=1, select="last")
    resumed_alike(config, tmp_path, monkeypatch, stop=stop, message=f"step {stop} of 10")
