"""Configurations: what is refused, and what the schedules and centres become."""

import jax
import numpy as np
import pytest

from tests.training.conftest import V, tiny_config
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.state import build_recipe, check_config, initial_state

REFUSED = {
    "data.source": "internet",
    "model.latent_dim": -1,
    "model.num_flow_steps": -1,
    "model.dropout": 1.0,
    "model.dtype": "float16",
    "model.flow": "spline",
    "kl_weight.maximum": 1.5,
    "kl_weight.schedule": "sudden",
    "objective.name": "gan",
    "codebook.floor": 0.0,
    "train.accumulate": 0,
    "train.backend": "xmap",
    "train.batch_size": 1,
    "train.num_epochs": 0,
    "train.learning_rate": 0.0,
    "train.learning_rate_decay": "stairs",
    "train.select": "worst",
}


@pytest.mark.parametrize("key, value", REFUSED.items(), ids=REFUSED)
def test_value_that_no_run_can_use_is_refused_by_name(key, value):
    config = tiny_config()
    check_config(config)
    section, name = key.split(".")
    config[section][name] = value
    with pytest.raises(InputError, match=f"--config.{key} is {value!r}"):
        check_config(config)


def test_language_model_and_latent_dim_must_agree():
    config = tiny_config(name="lm")
    with pytest.raises(InputError, match="latent_dim is 3: objective lm needs 0"):
        check_config(config)
    config = tiny_config()
    config.model.latent_dim = 0
    with pytest.raises(InputError, match="objective wae_rnf needs at least 1"):
        check_config(config)


def test_papers_schedule_counts_two_thousand_steps_an_epoch():
    config = tiny_config()
    config.kl_weight.update(schedule="paper", start=2_000, length=4_000, maximum=0.8)
    recipe = build_recipe(config, V, steps_per_epoch=100, axis_name=None)
    values = [float(recipe.kl_weight(step)) for step in (0, 100, 200, 250, 300, 500)]
    np.testing.assert_allclose(values, [0, 0, 0.5, 0.5125, 0.8, 0.8], atol=1e-6)


@pytest.mark.parametrize("decay, last", [("none", 0.1), ("linear", 0.0), ("cosine", 0.0)])
def test_learning_rate_decays_to_its_end_over_the_run(decay, last):
    config = tiny_config(name="lm")
    config.model.update(latent_dim=0, num_flow_steps=0)
    config.train.update(learning_rate=0.1, learning_rate_decay=decay, num_epochs=2, clip_norm=0.0)
    optimizer = build_recipe(config, V, steps_per_epoch=5, axis_name=None).optimizer
    params, state, sizes = np.zeros(()), optimizer.init(np.zeros(())), []
    for _ in range(11):
        update, state = optimizer.update(np.ones(()), state, params)
        sizes.append(-float(update))
    assert sizes[0] == pytest.approx(0.1, rel=1e-3)
    assert sizes[10] == pytest.approx(last, abs=1e-4)


def fixed_centres_config(path=""):
    config = tiny_config()
    config.codebook.update(refresh_every=0, centers_file=str(path))
    return config


def first_centres(config):
    recipe = build_recipe(config, V, steps_per_epoch=5, axis_name=None)
    return np.asarray(initial_state(config, recipe, jax.random.key(0)).codebook.centers)


def test_fixed_centres_are_drawn_or_read(tmp_path):
    drawn = first_centres(fixed_centres_config())
    assert drawn.shape == (3, 3)
    assert 0.2 < drawn.std() < 1.2
    given = np.arange(9.0).reshape(3, 3)
    np.save(tmp_path / "centers.npy", given)
    np.testing.assert_allclose(first_centres(fixed_centres_config(tmp_path / "centers.npy")), given)


@pytest.mark.parametrize("content", ["missing", "foreign", "wrong shape"])
def test_unusable_centres_file_is_named(tmp_path, content):
    path = tmp_path / "centers.npy"
    if content == "foreign":
        path.write_text("not an array")
    if content == "wrong shape":
        np.save(path, np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"codebook\.centers_file.*centers\.npy.*\(3, 3\)"):
        first_centres(fixed_centres_config(path))
