"""What the loop does for any procedure: its clock, its events, and which validations count."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training.conftest import (
    lines_of,
    resumed_alike,
    stop_after,
    tiny_config,
    train_step,
)
from wae_rnf_jax.runs.checkpoint import Progress
from wae_rnf_jax.training import loop
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.procedures import PROCEDURES, descent
from wae_rnf_jax.training.recipe import TrainState
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import after_bound, updated_params


def recipe_and_state(**train):
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.train.update(**train)
    check_config(config)
    recipe = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    return recipe, initial_state(config, recipe, jax.random.key(0))


def procedure_of(**changes):
    return descent()._replace(**changes)


@pytest.fixture
def registered(monkeypatch):
    """Gives a procedure to every run in place of `descent`."""
    return lambda procedure: monkeypatch.setitem(PROCEDURES, "descent", lambda: procedure)


def test_weights_and_rates_follow_the_procedures_clock(batch, rng):
    recipe, state = recipe_and_state(optimizer="sgd", learning_rate_decay="linear", num_epochs=2)
    state = state.replace(step=jnp.asarray(6))
    _, metrics = train_step(state, batch, rng, recipe=recipe)
    assert float(metrics["kl_weight"]) == pytest.approx(0.6)
    slow = recipe._replace(procedure=procedure_of(clock=lambda state: state.step // 2))
    moved, metrics = train_step(state, batch, rng, recipe=slow)
    assert float(metrics["kl_weight"]) == pytest.approx(0.3)
    # At clock 3 of 10 steps the linear rate is .7 of the first.
    still = recipe._replace(
        procedure=procedure_of(clock=lambda state: state.step // 2),
        learning_rate=optax.constant_schedule(1e-3),
    )
    full, _ = train_step(state, batch, rng, recipe=still)
    step, at_first = (
        np.asarray(x.params["embedding"] - state.params["embedding"]) for x in (moved, full)
    )
    np.testing.assert_allclose(step, 0.7 * at_first, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_an_optimizer_steps_as_optax_has_it(optimizer, batch, rng):
    extra = {"sgd": {"momentum": 0.9}, "adamw": {"weight_decay": 0.1}, "adam": {}}[optimizer]
    train = {"optimizer": optimizer, "learning_rate_decay": "cosine", "clip_norm": 1.0, **extra}
    recipe, state = recipe_and_state(**train)
    rate = optax.cosine_decay_schedule(1e-3, 10)
    whole = {
        "adam": partial(optax.adam),
        "adamw": partial(optax.adamw, weight_decay=0.1),
        "sgd": partial(optax.sgd, momentum=0.9),
    }[optimizer](rate)
    reference = optax.chain(optax.clip_by_global_norm(1.0), whole)
    grads = jax.tree.map(lambda x: jnp.sin(jnp.arange(x.size)).reshape(x.shape), state.params)
    params, opt_state = state.params, reference.init(state.params)
    for _ in range(3):
        updates, opt_state = reference.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        new_params, new_opt_state = updated_params(state, grads, recipe=recipe)
        state = state.replace(step=state.step + 1, params=new_params, opt_state=new_opt_state)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7), state.params, params)


def test_the_rate_is_lowered_where_bounds_stall(batch, rng):
    recipe, state = recipe_and_state(
        optimizer="sgd", learning_rate_decay="plateau", plateau_factor=0.25, plateau_patience=2
    )
    start = state
    for bound, scale in ((10.0, 1), (9.0, 1), (9.5, 1), (9.2, 0.25), (8.0, 0.25), (8.1, 0.25)):
        state = after_bound(state, bound, recipe=recipe)
        assert float(state.plateau.scale) == scale
    lowered, _ = train_step(state, batch, rng, recipe=recipe)
    full, _ = train_step(start, batch, rng, recipe=recipe)
    moves = [np.asarray(x.params["embedding"] - start.params["embedding"]) for x in (lowered, full)]
    np.testing.assert_allclose(moves[0], 0.25 * moves[1], rtol=1e-3, atol=1e-8)


def test_a_lowered_rate_is_resumed(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=4, learning_rate_decay="plateau", plateau_patience=1)
    config.train.update(learning_rate=0.5, eval_every=3, select="last")
    config.kl_weight.update(start=-10, length=1)
    config.kl_weight.maximum = 0.5
    whole = loop.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        with pytest.raises(loop.Interrupted):
            loop.train(config, tmp_path / "parts")
    loop.train(config, tmp_path / "parts")
    whole, parts = (lines_of(folder, "valid") for folder in (whole, tmp_path / "parts"))
    assert whole == parts
    bounds = [line["neg_elbo"] for line in whole]
    assert any(later > earlier for earlier, later in itertools.pairwise(bounds))


def test_a_validation_that_a_signal_came_before_is_made_first(config, tmp_path, monkeypatch):
    whole = loop.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 5)  # the end of the first epoch, whose validation is due
        with pytest.raises(loop.Interrupted, match="saved at step 5 of 10"):
            loop.train(config, tmp_path / "parts")
    assert lines_of(tmp_path / "parts", "valid") == []
    loop.train(config, tmp_path / "parts")
    assert lines_of(tmp_path / "parts", "valid") == lines_of(whole, "valid")
    with monkeypatch.context() as patch:
        stop_after(patch, 10)  # the last step
        with pytest.raises(loop.Interrupted, match="saved at step 10 of 10"):
            loop.train(config, tmp_path / "ends")
    loop.train(config, tmp_path / "ends")
    assert lines_of(tmp_path / "ends", "valid") == lines_of(whole, "valid")
    loop.train(config, tmp_path / "ends")  # once is enough
    assert lines_of(tmp_path / "ends", "valid") == lines_of(whole, "valid")


def test_only_bounds_at_the_runs_highest_weight_are_compared(config, tmp_path, monkeypatch):
    """With cycles λ is 0 at the run's end, where the bound is not what is optimized."""
    config.train.update(num_epochs=4, eval_every=2)
    with config.unlocked():
        config.kl_weight = type(config)(
            {"schedule": "cyclical", "period": 10, "rise": 0.5, "maximum": 1.0}
        )
    seen = []
    monkeypatch.setattr(loop, "Progress", lambda *a: seen.append(a) or Progress(*a))
    workdir = loop.train(config, tmp_path / "run")
    best = [step for _, step, *_ in (a for a in seen if len(a) == 3 and a[0] is not None)]
    assert best
    assert all(step % 10 >= 5 for step in best)  # and not 10 or 20, where a cycle begins
    steps = {int(path.name) for path in (workdir / "checkpoints" / "best").iterdir()}
    assert steps <= set(best)


def test_a_procedure_may_keep_select_act_and_restart(config, registered, tmp_path):
    config.train.update(num_epochs=4, patience=1)
    config.kl_weight.update(start=-10, length=1)
    calls = []

    def step(state, batch, rng, *, recipe, axis_name):
        state, metrics = descent().step(state, batch, rng, recipe=recipe, axis_name=axis_name)
        return state.replace(procedure={"stage": state.procedure["stage"]}), metrics

    def event(state, key, metrics, *, recipe):
        calls.append((int(state.step), float(metrics["neg_elbo"])))
        restart = int(state.step) == 10
        stage = state.procedure["stage"] + restart
        return state.replace(procedure={"stage": stage}), restart

    registered(
        procedure_of(
            init=lambda params: {"stage": jnp.zeros((), jnp.int32)},
            step=step,
            selects=lambda state: int(state.procedure["stage"]) == 1,
            event=event,
        )
    )
    workdir = loop.train(config, tmp_path / "run")
    assert [step for step, _ in calls][:3] == [5, 10, 15]
    assert calls[0][1] == pytest.approx(lines_of(workdir, "valid")[0]["neg_elbo"])
    best = sorted(int(path.name) for path in (workdir / "checkpoints" / "best").iterdir())
    assert best[0] >= 15  # in stage 0 none was selected, and none cost patience


def test_what_a_procedure_keeps_is_in_the_checkpoint(config, registered, tmp_path, monkeypatch):
    def step(state, batch, rng, *, recipe, axis_name):
        state, metrics = descent().step(state, batch, rng, recipe=recipe, axis_name=axis_name)
        return state.replace(procedure=state.procedure + 2), {**metrics, "kept": state.procedure}

    registered(procedure_of(init=lambda params: jnp.zeros(()), step=step))
    config.train.update(num_epochs=1, log_every=1)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(loop.Interrupted):
            loop.train(config, tmp_path / "run")
    loop.train(config, tmp_path / "run")
    assert [line["kept"] for line in lines_of(tmp_path / "run", "train")] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    "parts",
    [
        {"posterior": {"name": "vmf"}, "decoder": {"name": "lstm", "z_every_step": True}},
        pytest.param(
            {"decoder": {"name": "dilated_cnn", "dilations": (1, 2)}}, marks=pytest.mark.slow
        ),
    ],
    ids=["vmf_lstm", "dilated_cnn"],
)
def test_other_posteriors_and_decoders_resume_bit_for_bit(parts, config, tmp_path, monkeypatch):
    with config.unlocked():
        for name, section in parts.items():
            config[name] = type(config)(section)
    check_config(config)
    config.model.dropout = 0.2
    config.train.update(num_epochs=1, select="last")
    resumed_alike(config, tmp_path, monkeypatch, stop=2)


def test_descent_keeps_nothing(batch):
    recipe, state = recipe_and_state()
    assert isinstance(state, TrainState)
    assert jax.tree.leaves((state.procedure, state.plateau)) == []
    assert recipe.procedure.event is None


def test_a_run_goes_on_under_another_default_generator(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=1, log_every=1, select="last")
    whole = loop.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(loop.Interrupted):
            loop.train(config, tmp_path / "parts")
    with jax.default_prng_impl("rbg"):
        loop.train(config, tmp_path / "parts")
    losses = [
        [line["loss"] for line in lines_of(folder, "train")]
        for folder in (whole, tmp_path / "parts")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)
