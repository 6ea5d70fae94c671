"""Parts and procedures by override: what makes sense together trains, the rest is refused."""

import jax
import numpy as np
import pytest

from tests.training.conftest import eval_step, tiny_config, train_step
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.state import build_recipe, initial_state

VMF = {"posterior": {"name": "vmf", "concentration": 15.0}}
TRANSFORMER = {"name": "transformer", "num_heads": 3, "num_layers": 1}
LAGGING = {"procedure": {"name": "lagging"}}
SEMI = {"procedure": {"name": "semi_amortized", "num_steps": 1, "evaluation_steps": 1}}
PRETRAINED = {"procedure": {"name": "pretrained"}}
CNN = {"decoder": {"name": "dilated_cnn", "dilations": (1, 2)}}


def configured(objective, *sections, flow=False):
    config = tiny_config(**objective)
    if not flow:
        config.model.num_flow_steps = 0
    if objective["name"] != "wae_rnf":
        config.codebook = type(config)({**config.codebook.to_dict(), "num_centers": 0})
        config.codebook.update(num_codes=4096, warm_up=1000, refresh_every=500)
    with config.unlocked():
        for section in sections:
            for name, values in section.items():
                config[name] = type(config)(values)
    check_config(config)
    return config


VAE, WAE = {"name": "vae"}, {"name": "wae", "mmd_weight": 10.0}
RNF = {"name": "wae_rnf", "mmd_weight": 10.0, "rnf_weight": 1.0}
COMBINATIONS = {
    "wae_rnf semi-amortized": lambda: configured(RNF, SEMI, flow=True),
    "wae_rnf lagging": lambda: configured(RNF, LAGGING, flow=True),
    "vmf with a dilated CNN, pretrained": lambda: configured(VAE, VMF, CNN, PRETRAINED),
    "lagging with transformers": lambda: configured(
        WAE, LAGGING, {"encoder": TRANSFORMER, "decoder": TRANSFORMER}
    ),
    "semi-amortized with a transformer": lambda: configured(VAE, SEMI, {"decoder": TRANSFORMER}),
    "bilstm with free bits": lambda: configured(
        {**VAE, "kl_floor": 0.1}, {"encoder": {"name": "bilstm"}}
    ),
}


QUICK = ("wae_rnf semi-amortized",)


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in COMBINATIONS],
)
def test_what_makes_sense_together_trains(name, batch, rng):
    config = COMBINATIONS[name]()
    recipe = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    state = initial_state(config, recipe, jax.random.key(0))
    losses = []
    for _ in range(3):
        before = state
        state, metrics = train_step(state, batch, rng, recipe=recipe)
        losses.append(float(metrics["loss"]))
        jax.tree.map(np.testing.assert_array_equal, state.step, before.step + 1)
    assert np.all(np.isfinite(losses))
    sums, _ = eval_step(state, batch, rng, recipe=recipe)
    assert all(np.isfinite(float(value)) for value in sums.values())


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: configured(VAE, VMF, SEMI), "it refines means and variances"),
        (lambda: configured(VAE, VMF, flow=True), "flow steps are maps of R"),
        (lambda: configured({**VAE, "kl_floor": 0.1}, VMF), "a floor needs a KL"),
        (lambda: configured({"name": "wae_rnf_pullback", "mmd_weight": 1.0, "rnf_weight": 1.0,
                             "features": "state"}, {"decoder": TRANSFORMER}, flow=True),
         "has no initial state"),
    ],
)  # fmt: skip
def test_what_makes_none_is_refused_in_one_sentence(build, message):
    with pytest.raises(InputError, match=message) as refused:
        build()
    assert "\n" not in str(refused.value)
