"""Whose turn it is, what moves in it, and when the aggressive phase ends."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import lines_of, resumed_alike, tiny_config, train_step
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.parts import part_labels
from wae_rnf_jax.training.procedures.lagging import (
    BOTH,
    DECODER,
    ENCODER,
    _after_step,
    _first_state,
)
from wae_rnf_jax.training.state import build_recipe, initial_state


def lagging_config(config, **settings):
    with config.unlocked():
        config.procedure = type(config)({"name": "lagging", **settings})
    check_config(config)
    return config


def recipe_and_state(*, shared=True, optimizer="adam", **settings):
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.model.shared_embedding = shared
    config.train.optimizer = optimizer
    recipe = build_recipe(lagging_config(config, **settings), 13, steps_per_epoch=5, axis_name=None)
    return recipe, initial_state(config, recipe, jax.random.key(0))


def with_turn(state, turn):
    own = state.procedure._replace(turn=jnp.asarray(turn, jnp.int32))
    return state.replace(procedure=own)


def changed(before, after):
    return jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)


@pytest.mark.parametrize(
    "turn, shared",
    [
        (ENCODER, True),
        (DECODER, False),
        (BOTH, True),
        pytest.param(ENCODER, False, marks=pytest.mark.slow),
        pytest.param(DECODER, True, marks=pytest.mark.slow),
        pytest.param(BOTH, False, marks=pytest.mark.slow),
    ],
)
def test_a_step_of_one_part_changes_nothing_of_another(turn, shared, batch, rng):
    """Neither a parameter nor the optimizer's state, of which Adam's count is a part."""
    recipe, state = recipe_and_state(shared=shared)
    state, _ = train_step(with_turn(state, BOTH), batch, rng, recipe=recipe)
    state = with_turn(state, turn)
    after, _ = train_step(state, batch, rng, recipe=recipe)
    moves = {
        "encoder": turn != DECODER,
        "decoder": turn != ENCODER,
        "embedding": turn != ENCODER and shared,
    }
    labels = part_labels(state.params)
    assert ("embedding" in labels["embedding"]) == shared
    was_moved = changed(state.params, after.params)
    for part, moved in moves.items():
        own = [
            flag
            for label, flag in zip(jax.tree.leaves(labels), jax.tree.leaves(was_moved), strict=True)
            if label == part
        ]
        assert all(own) if moved else not any(own), part
        states = (x.opt_state[1].inner_states[part] for x in (state, after))
        kept = jax.tree.leaves(changed(*states))
        assert any(kept) == (moved or (part == "embedding" and turn != ENCODER)), part
    assert int(after.step) == int(state.step) + 1


def test_an_ordinary_step_is_that_of_descent(batch, rng):
    recipe, state = recipe_and_state(optimizer="sgd")
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.train.optimizer = "sgd"
    plain = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    first = initial_state(config, plain, jax.random.key(0))
    after, _ = train_step(with_turn(state, BOTH), batch, rng, recipe=recipe)
    expected, _ = train_step(first, batch, rng, recipe=plain)
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8), after.params, expected.params
    )


def followed(losses, *, window=2, most=99, turns=20):
    """Whose turn it is, step after step, where the encoder's losses are these."""
    own, found = _first_state(), []
    losses = iter(losses)
    for _ in range(turns):
        found.append(int(own.turn))
        loss = next(losses) if found[-1] == ENCODER else 100.0
        metrics = {"loss": jnp.asarray(loss), "num_sentences": 4, "num_tokens": 8}
        own = _after_step(own, metrics, window, most)
    return found, own


def test_the_decoder_steps_once_a_window_is_no_better():
    # Means of windows: 9, 8, 8: the third is no better. Then 7, 7.5.
    losses = [10, 8, 8, 8, 9, 7] + [7, 7, 8, 7] + [1] * 20
    found, own = followed(losses, turns=12)
    assert found == [ENCODER] * 6 + [DECODER] + [ENCODER] * 4 + [DECODER]
    assert int(own.decoder_steps) == 2
    assert int(own.encoder_steps) == 0
    assert float(own.last_window) == math.inf


def test_the_decoder_steps_after_so_many_in_any_case():
    found, _ = followed(range(100, 0, -1), most=5, turns=12)
    assert found == [ENCODER] * 5 + [DECODER] + [ENCODER] * 5 + [DECODER]
    assert followed([float("nan")] * 9, turns=3)[0] == [ENCODER, ENCODER, DECODER]


def test_windows_weigh_words_and_not_batches():
    own = _first_state()
    for loss, sentences, tokens in ((10.0, 1, 2), (4.0, 9, 36)):
        metrics = {"loss": loss, "num_sentences": sentences, "num_tokens": tokens}
        own = _after_step(own, metrics, 2, 99)
    assert float(own.last_window) == pytest.approx((10 + 36) / 38)


def test_it_becomes_ordinary_when_mutual_information_no_longer_rises():
    recipe, state = recipe_and_state()
    event, key = recipe.procedure.event, jax.random.key(0)
    turns = []
    for mi in (-0.1, 0.2, 0.5, 0.5, 0.9):
        state, restart = event(state, key, {"mi": mi}, recipe=recipe)
        assert not restart
        turns.append(int(state.procedure.turn))
    assert turns == [ENCODER, ENCODER, ENCODER, BOTH, BOTH]
    assert float(state.procedure.mutual_information) == pytest.approx(0.5)


def test_mutual_information_is_compared_after_so_many_steps_of_the_decoder():
    recipe, state = recipe_and_state(compare_every=10)
    compared = []
    for step, decoder_steps, mi in (
        (50, 4, 0.9),
        (100, 9, 0.1),
        (150, 10, 0.3),  # the tenth: the first comparison
        (200, 19, 0.2),
        (250, 31, 0.4),  # the thirtieth is between
        (300, 39, 0.2),
        (350, 41, 0.4),
        (400, 50, 0.9),
    ):
        own = state.procedure._replace(decoder_steps=jnp.asarray(decoder_steps, jnp.int32))
        state = state.replace(procedure=own, step=jnp.asarray(step, jnp.int32))
        state, _ = recipe.procedure.event(state, jax.random.key(0), {"mi": mi}, recipe=recipe)
        own = state.procedure
        compared.append((round(float(own.mutual_information), 3), int(own.turn)))
    nothing = (-math.inf, ENCODER)
    assert compared == [
        *[nothing] * 2,
        *[(0.3, ENCODER)] * 2,
        *[(0.4, ENCODER)] * 2,
        *[(0.4, BOTH)] * 2,
    ]


def test_the_run_lasts_until_the_decoder_has_taken_its_steps():
    recipe, state = recipe_and_state()
    procedure, key = recipe.procedure, jax.random.key(0)

    def at(step, decoder_steps, mi):
        own = state.procedure._replace(decoder_steps=jnp.asarray(decoder_steps, jnp.int32))
        moved = state.replace(procedure=own, step=jnp.asarray(step, jnp.int32))
        moved, _ = procedure.event(moved, key, {"mi": mi}, recipe=recipe)
        return procedure.num_steps(moved, 10)

    assert procedure.num_steps(state, 10) == 1_000
    assert at(50, 4, 0.5) == 50 + 6 * 100  # aggressive: at most
    assert at(50, 4, -jnp.inf) == 50 + 6  # ordinary from here on
    assert at(700, 10, 0.5) == 700
    assert at(700, 12, 0.5) == 700


@pytest.mark.parametrize("stop", [3, pytest.param(6, marks=pytest.mark.slow)])
def test_it_resumes_bit_for_bit_in_any_turn(stop, config, tmp_path, monkeypatch):
    lagging_config(config, window=1, most_encoder_steps=3)
    config.train.update(num_epochs=2, log_every=1, select="last")
    config.kl_weight.maximum = 1.0
    whole = resumed_alike(config, tmp_path, monkeypatch, stop=stop)
    aggressive, kl_weight = (
        [line[name] for line in lines_of(whole, "train")] for name in ("aggressive", "kl_weight")
    )
    assert aggressive[0] == 1
    assert len(aggressive) > 10  # until the decoder has taken the steps of two epochs
    assert kl_weight[-1] == pytest.approx(0.9)  # which rises by .1 a step
    steps = np.diff(kl_weight)  # λ counts decoder steps: it stands still in an encoder's turn
    assert np.any(steps == 0)
    assert np.all(steps >= 0)
