"""What a configuration's schedules and centers become."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import V, tiny_config
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.parallel import mapped_eval_step, mapped_train_step
from wae_rnf_jax.training.recipe import TrainState
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import after_bound, updated_params


def test_papers_schedule_counts_two_thousand_steps_an_epoch():
    config = tiny_config()
    config.kl_weight.update(schedule="paper", start=2_000, length=4_000, maximum=0.8)
    recipe = build_recipe(config, V, steps_per_epoch=100, axis_name=None)
    values = [float(recipe.kl_weight(step)) for step in (0, 100, 200, 250, 300, 500)]
    np.testing.assert_allclose(values, [0, 0, 0.5, 0.5125, 0.8, 0.8], atol=1e-6)


def test_the_same_configuration_compiles_its_steps_once():
    """A second run in a process, which has a new key and state, finds the programs of the first."""
    recipes = [lm_recipe(momentum=momentum) for momentum in (0.0, 0.0, 0.5)]
    assert recipes[0] is recipes[1] is not recipes[2]
    steps = [mapped_train_step(recipe) for recipe in recipes]
    assert steps[0] is steps[1] is not steps[2]
    assert mapped_train_step(recipes[0], donate=False) is not steps[0]
    assert mapped_eval_step(recipes[0]) is mapped_eval_step(recipes[1])


def lm_recipe(**train):
    config = tiny_config(name="lm")
    config.model.update(latent_dim=0, num_flow_steps=0)
    config.train.update(learning_rate=0.1, num_epochs=2, clip_norm=0.0, **train)
    return build_recipe(config, V, steps_per_epoch=5, axis_name=None)


def lm_state(recipe, start=0.0):
    """The first state of a single parameter."""
    plateau = recipe.plateau.init(start) if recipe.plateau else None
    return TrainState(jnp.int32(0), start, {}, recipe.optimizer.init(start), None, plateau)


def updates(recipe, state, number=1):
    """What each of some steps takes from a parameter of gradient 1."""
    for _ in range(number):
        params, opt_state = updated_params(state, jnp.ones(()), recipe=recipe)
        yield state.params - params
        state = state.replace(step=state.step + 1, params=params, opt_state=opt_state)


@pytest.mark.parametrize("decay, last", [("none", 0.1), ("linear", 0.0), ("cosine", 0.0)])
def test_learning_rate_decays_to_its_end_over_the_run(decay, last):
    recipe = lm_recipe(learning_rate_decay=decay)
    sizes = [float(update) for update in updates(recipe, lm_state(recipe), 11)]
    assert sizes[0] == pytest.approx(0.1, rel=1e-3)
    assert sizes[10] == pytest.approx(last, abs=1e-4)


def test_a_bound_that_stalls_lowers_the_learning_rate():
    recipe = lm_recipe(learning_rate_decay="plateau", plateau_factor=0.1, plateau_patience=2)
    state = lm_state(recipe)
    scales = []
    for bound in (5.0, 4.0, 4.5, 4.0, 3.9, 3.9, 3.9):
        state = after_bound(state, bound, recipe=recipe)
        scales.append(float(state.plateau.scale))
    np.testing.assert_allclose(scales, [1, 1, 1, 0.1, 0.1, 0.1, 0.01], rtol=1e-6)
    assert float(next(updates(recipe, state))) == pytest.approx(0.1 * 0.01, rel=1e-3)
    for bound in (3.8999, 3.8998, 3.8997):  # each is better, however little
        state = after_bound(state, bound, recipe=recipe)
    assert float(state.plateau.scale) == pytest.approx(0.01)
    unmoved = lm_recipe(learning_rate_decay="none")
    state = lm_state(unmoved)
    assert after_bound(state, 1.0, recipe=unmoved) is state


@pytest.mark.parametrize(
    "optimizer, expected",
    [
        ({"optimizer": "sgd"}, [0.1, 0.1, 0.1]),
        ({"optimizer": "sgd", "momentum": 0.5}, [0.1, 0.15, 0.175]),
        ({"optimizer": "adam"}, [0.1, 0.1, 0.1]),
        ({"optimizer": "adamw", "weight_decay": 0.5}, [0.2, 0.19, 0.1805]),
    ],
)
def test_optimizers_take_the_steps_of_their_formulas(optimizer, expected):
    """From a parameter of 2, of gradient 1 throughout; weight decay takes .1·.5 of it as well."""
    recipe = lm_recipe(learning_rate_decay="none", **optimizer)
    found = [float(update) for update in updates(recipe, lm_state(recipe, start=2.0), 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def fixed_centers_config(path=""):
    config = tiny_config()
    config.codebook.update(refresh_every=0, centers_file=str(path))
    return config


def first_centers(config):
    recipe = build_recipe(config, V, steps_per_epoch=5, axis_name=None)
    return np.asarray(initial_state(config, recipe, jax.random.key(0)).codebook.centers)


def test_fixed_centers_are_drawn_or_read(tmp_path):
    drawn = first_centers(fixed_centers_config())
    assert drawn.shape == (3, 3)
    assert 0.2 < drawn.std() < 1.2
    given = np.arange(9.0).reshape(3, 3)
    np.save(tmp_path / "centers.npy", given)
    np.testing.assert_allclose(first_centers(fixed_centers_config(tmp_path / "centers.npy")), given)


@pytest.mark.parametrize("content", ["missing", "foreign", "wrong shape"])
def test_unusable_centers_file_is_named(tmp_path, content):
    path = tmp_path / "centers.npy"
    if content == "foreign":
        path.write_text("not an array")
    if content == "wrong shape":
        np.save(path, np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"codebook\.centers_file.*centers\.npy.*\(3, 3\)"):
        first_centers(fixed_centers_config(path))
