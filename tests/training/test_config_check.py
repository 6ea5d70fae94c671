"""Every key of a configuration: values that are accepted, and that are refused by name."""

import math

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import default
from tests.training.conftest import tiny_config
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.config_check import _CHOICES, check_config

NO_COUNT = (-1, 1.5, "2", None, True)
NO_SIZE = (0, *NO_COUNT)
NO_NUMBER = (math.nan, math.inf, "1", None, True)
NO_SHARE = (-0.1, 1.0, *NO_NUMBER)
NO_CAP = (-0.1, 1.1, *NO_NUMBER)
NOT_POSITIVE = (0.0, -1.0, *NO_NUMBER)
NEGATIVE = (-1.0, *NO_NUMBER)
NO_SWITCH = (1, "True", None)
NO_TEXT = (1, None)
NO_NAME = ("", " ", *NO_TEXT)
REFUSED = {
    "system": NO_NAME,
    "data.source": ("internet", None),
    "data.path": NO_TEXT,
    "data.vocabulary": NO_TEXT,
    "model.dtype": ("float16", None),
    "train.mmd_group": (1, None),
    "train.average": NO_SHARE,
    "model.locked_dropout": NO_SWITCH,
    "model.embedding_dropout": NO_SHARE,
    "encoder.recurrent_dropout": NO_SHARE,
    "encoder.state_dim": NO_COUNT,
    "decoder.recurrent_dropout": NO_SHARE,
    "train.accumulate": NO_SIZE,
    "train.backend": ("xmap", None),
    "data.label": ("last", 1),
    "data.fractions": ((0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), 0.8, ("a", "b", "c")),
    "data.text_field": NO_NAME,
    "data.label_field": NO_TEXT,
    "data.group_field": NO_TEXT,
    "data.dataset": NO_TEXT,
    "data.text_feature": NO_NAME,
    "data.splits": (("train", "test"), "all", ("train", "valid", 3), ("a", "b", "")),
    "data.tokenizer": ("spaces", "tokenizer", None),
    "data.vocab_size": (260, 4000.0, None),
    "data.lower_case": NO_SWITCH,
    "data.nfc": NO_SWITCH,
    "data.min_count": NO_SIZE,
    "data.max_size": (-1, 4, 6.5, None),
    "data.max_words": NO_COUNT,
    "data.seed": (2**32, *NO_COUNT),
    "data.num_sentences": ((1, 2), (5, 5, 0), (5, 5, -5), (1.5, 2, 3), 7, ("1", 2, 3)),
    "data.cache_dir": NO_NAME,
    "data.num_buckets": NO_SIZE,
    "data.num_workers": NO_COUNT,
    "model.embedding_dim": NO_SIZE,
    "model.hidden_dim": NO_SIZE,
    "model.latent_dim": NO_SIZE,
    "model.flow": ("spline", 1),
    "model.num_flow_steps": NO_COUNT,
    "model.shared_embedding": NO_SWITCH,
    "model.tied_output": NO_SWITCH,
    "model.dropout": NO_SHARE,
    "model.word_dropout": NO_SHARE,
    "model.encoder_word_dropout": NO_SHARE,
    "model.initializer": ("zeros", None),
    "model.cross_entropy_block": NO_SIZE,
    "encoder.name": ("ltsm", None, ["lstm"]),
    "posterior.name": ("cauchy", None),
    "posterior.batch_norm": NO_SWITCH,
    "posterior.mean_scale": NEGATIVE,
    "posterior.initial_log_var": NO_NUMBER,
    "decoder.name": ("ltsm", None),
    "decoder.z_every_step": NO_SWITCH,
    "decoder.z_output": NO_SWITCH,
    "procedure.name": ("ascent", None),
    "objective.name": ("gan", None),
    "objective.mmd_weight": NEGATIVE,
    "objective.rnf_weight": NEGATIVE,
    "objective.kl_floor": NEGATIVE,
    "kl_weight.schedule": ("sudden", None),
    "kl_weight.start": NO_NUMBER,
    "kl_weight.length": NOT_POSITIVE,
    "kl_weight.maximum": NO_CAP,
    "codebook.num_centers": NO_COUNT,
    "codebook.num_codes": NO_SIZE,
    "codebook.warm_up": NO_COUNT,
    "codebook.refresh_every": NO_COUNT,
    "codebook.num_iterations": NO_SIZE,
    "codebook.floor": NOT_POSITIVE,
    "codebook.centers_file": NO_TEXT,
    "train.seed": (2**32, *NO_COUNT),
    "train.batch_size": (1, *NO_SIZE),
    "train.num_epochs": NO_SIZE,
    "train.optimizer": ("lbfgs", None),
    "train.momentum": NO_SHARE,
    "train.weight_decay": NEGATIVE,
    "train.learning_rate": NOT_POSITIVE,
    "train.learning_rate_decay": ("stairs", None),
    "train.plateau_factor": (1.0, *NOT_POSITIVE),
    "train.plateau_patience": NO_SIZE,
    "train.clip_norm": NEGATIVE,
    "train.eval_every": NO_COUNT,
    "train.checkpoint_every": NO_COUNT,
    "train.log_every": NO_SIZE,
    "train.patience": NO_COUNT,
    "train.select": ("worst", None),
}


def with_values(config, changes):
    """The configuration with values of any type, as a file of one's own may give them."""
    content = config.to_dict()
    for key, value in changes.items():
        *section, name = key.split(".")
        (content[section[0]] if section else content)[name] = value
    return ConfigDict(content)


def refusal(config):
    with pytest.raises(InputError) as caught:
        check_config(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_key_of_the_defaults_is_checked():
    config = default.get_config()
    check_config(config)
    content = config.to_dict()
    keys = {f"{k}.{name}" for k, v in content.items() if isinstance(v, dict) for name in v}
    assert keys | {"system"} == set(REFUSED)


@pytest.mark.parametrize("key", REFUSED)
def test_value_that_no_run_can_use_is_refused_by_name(key):
    config = tiny_config()
    check_config(config)
    for value in REFUSED[key]:
        message = refusal(with_values(config, {key: value}))
        assert f"--config.{key} is {value!r}: " in message
        assert "it must be " in message or "needs at least 1" in message


VMF, VAE = {"name": "vmf", "concentration": 50.0}, {"name": "vae"}
NO_FLOW = {"model.num_flow_steps": 0, "codebook.num_centers": 0}
TOGETHER = {
    "a code without dimensions": (
        {"model.latent_dim": 0},
        "--config.model.latent_dim is 0: objective wae_rnf needs at least 1",
    ),
    "a language model with a code": (
        {"objective": {"name": "lm"}},
        "--config.model.latent_dim is 3: objective lm needs 0",
    ),
    "a language model with a flow": (
        {"objective": {"name": "lm"}, "model.latent_dim": 0},
        "--config.model.num_flow_steps is 2: objective lm has no latent code and needs 0",
    ),
    "a language model with centers": (
        {"objective": {"name": "lm"}, "model.latent_dim": 0, "model.num_flow_steps": 0},
        "--config.codebook.num_centers is 3: objective lm has no latent code and needs 0",
    ),
    "no flow to regularize": (
        {"model.num_flow_steps": 0},
        "--config.model.num_flow_steps is 0: objective wae_rnf needs at least 1",
    ),
    "no centers to follow": (
        {"codebook.num_centers": 0},
        "--config.codebook.num_centers is 0: objective wae_rnf needs at least 1",
    ),
    "a negative weight of the MMD": (
        {"objective.mmd_weight": 0.7},
        "--config.objective.mmd_weight is 0.7: it must be at least the highest kl_weight, 0.8",
    ),
    "a negative weight of the MMD in a stage": (
        {
            "objective.mmd_weight": 0.8,
            "procedure": {"name": "pretrained", "kl_weights": (0.9,)},
        },
        "--config.objective.mmd_weight is 0.8: it must be at least the highest kl_weight, 0.9",
    ),
    "fewer codes than centers": (
        {"codebook.num_codes": 2},
        "--config.codebook.num_codes is 2: it must be at least num_centers, 3",
    ),
    "a file of centers that would not be read": (
        {"codebook.centers_file": "centers.npy"},
        "--config.codebook.centers_file is 'centers.npy', but nothing in this run reads it: it is "
        "read only if codebook.refresh_every is 0, and codebook.refresh_every is 2",
    ),
    "a missing file of centers": (
        {
            "codebook": {
                **default.get_config().codebook,
                "num_centers": 3,
                "centers_file": "/no/such.npy",
                "refresh_every": 0,
            }
        },
        "--config.codebook.centers_file: /no/such.npy cannot be read as an array of shape (3, 3)",
    ),
    "a sphere of one dimension": (
        {"posterior": VMF, "objective": VAE, "model.num_flow_steps": 0, "model.latent_dim": 1},
        "--config.model.latent_dim is 1: posterior vmf lies on the unit sphere and needs at least "
        "2",
    ),
    "an objective of Gaussians on the sphere": (
        {"posterior": VMF, "model.num_flow_steps": 1},
        "--config.posterior.name is 'vmf': objective wae_rnf needs codes that fill R^Z",
    ),
    "a flow on the sphere": (
        {"posterior": VMF, "objective": VAE},
        "--config.model.num_flow_steps is 2: flow steps are maps of R^Z",
    ),
    "keys of another posterior": (
        {"posterior.name": "vmf", "posterior.batch_norm": True},
        "--config.posterior.batch_norm: there is no such key when name is vmf (it takes "
        "concentration)",
    ),
    "keys of another schedule": (
        {"kl_weight.schedule": "cyclical"},
        "--config.kl_weight.length: there is no such key when schedule is cyclical (it takes "
        "period, rise, maximum)",
    ),
    "keys of another objective": (
        {"objective.name": "wae"},
        "--config.objective.rnf_weight: there is no such key when name is wae (it takes "
        "mmd_weight, kl_floor)",
    ),
    "an argument that is missing": (
        {"objective": {"name": "wae_rnf", "mmd_weight": 10.0}},
        "--config.objective.rnf_weight is missing when name is wae_rnf (it takes mmd_weight, "
        "rnf_weight, kl_floor): it must be at least 0",
    ),
    "heads that do not divide the model": (
        {"decoder": {"name": "transformer", "num_heads": 4}},
        "--config.decoder.num_heads is 4: model.hidden_dim, 6, must be an even multiple of it",
    ),
    "two scales of the means": (
        {"posterior.mean_scale": 0.6, "posterior.batch_norm": True},
        "--config.posterior.mean_scale is 0.6: batch_norm already scales the means: use only",
    ),
    "free bits on the sphere": (
        {"posterior": VMF, "objective": {"name": "vae", "kl_floor": 0.1}, **NO_FLOW},
        "--config.objective.kl_floor is 0.1: a floor needs a KL that is learned, as with posterior "
        "gaussian; that of posterior vmf is constant",
    ),
    "refinement on the sphere": (
        {"posterior": VMF, "objective": VAE, "procedure": {"name": "semi_amortized"}, **NO_FLOW},
        "--config.procedure.name is 'semi_amortized': it refines means and variances, "
        "which posterior vmf does not have: use another procedure",
    ),
    "a language model with an encoder's procedure": (
        {
            "objective": {"name": "lm"},
            "procedure": {"name": "lagging"},
            "model.latent_dim": 0,
            **NO_FLOW,
        },
        "--config.procedure.name is 'lagging': objective lm has no latent code and needs descent",
    ),
    "stages of unequal number": (
        {"procedure": {"name": "pretrained", "max_steps": (5, 5)}},
        "--config.procedure.max_steps is (5, 5): it must have as many entries as kl_weights, 1",
    ),
    "a reset of what there is not": (
        {"procedure": {"name": "pretrained", "reset": ("flow",)}},
        "--config.procedure.reset is ('flow',): it must be a list of names from none, encoder, "
        "decoder",
    ),
    "a constant weight above 1": (
        {"kl_weight": {"schedule": "constant", "value": 1.5}},
        "--config.kl_weight.value is 1.5: it must be from 0 to 1",
    ),
    "an end before the beginning": (
        {"kl_weight": {"schedule": "linear_of_run", "begin": 0.5, "end": 0.4, "maximum": 1.0}},
        "--config.kl_weight.end is 0.4: it must be greater than kl_weight.begin, 0.5",
    ),
    "a share above 1": (
        {"kl_weight": {"schedule": "linear_of_run", "begin": 150, "end": 0.4, "maximum": 1.0}},
        "--config.kl_weight.begin is 150: it must be at least 0 and below 1",
    ),
    "cycles that never rise": (
        {"kl_weight": {"schedule": "cyclical", "period": 9, "rise": 0.0, "maximum": 1.0}},
        "--config.kl_weight.rise is 0.0: it must be above 0 and at most 1",
    ),
    "a key of the file's own": (
        {"train.batchsize": 3},
        "--config.train.batchsize: there is no such key; did you mean --config.train.batch_size?",
    ),
    "a section of the file's own": (
        {"trian": {"seed": 1}},
        "--config.trian: there is no such section; did you mean --config.train?",
    ),
    "a value in place of a section": (
        {"encoder": "lstm"},
        "--config.encoder: there is no such key",
    ),
    "a key outside all sections": (
        {"sytem": "x"},
        "--config.sytem: there is no such key; did you mean --config.system?",
    ),
}


@pytest.mark.parametrize("changes, message", TOGETHER.values(), ids=TOGETHER)
def test_values_that_do_not_go_together_are_refused(changes, message):
    config = tiny_config()
    config.kl_weight.maximum = 0.8
    assert refusal(with_values(config, changes)).startswith(message)


def test_what_a_file_leaves_out_is_named():
    content = tiny_config().to_dict()
    del content["train"]["seed"]
    assert "--config.train.seed is missing: it must be a whole number" in refusal(
        ConfigDict(content)
    )
    del content["train"]
    assert "--config.train is missing: configs/default.py has every section" in refusal(
        ConfigDict(content)
    )


@pytest.mark.parametrize(
    "array, message",
    [
        (np.full((3, 3), np.nan), "must contain only finite real numbers"),
        (np.zeros((3, 3), complex), "must contain only finite real numbers"),
        (np.zeros((2, 3)), "has shape (2, 3); codebook.num_centers and model.latent_dim require"),
    ],
)
def test_a_file_of_centers_is_read_before_anything_is_begun(array, message, tmp_path):
    config = tiny_config()
    config.codebook = default.get_config().codebook
    config.codebook.update(num_centers=3, refresh_every=0)
    np.save(tmp_path / "centers.npy", np.eye(3))
    config.codebook.centers_file = str(tmp_path / "centers.npy")
    check_config(config)
    np.save(tmp_path / "centers.npy", array)
    assert message in refusal(config)
    (tmp_path / "centers.npy").write_bytes(b"PK\x03\x04 and no more")
    assert "cannot be read as an array of shape (3, 3)" in refusal(config)


def test_schedules_and_objectives_of_all_kinds_are_accepted():
    for kl_weight in (
        {"schedule": "constant", "value": 0.5},
        {"schedule": "cyclical", "period": 100, "rise": 0.5, "maximum": 1.0},
        {"schedule": "paper", "start": 0, "length": 10.0, "maximum": 0},
    ):
        config = with_values(tiny_config(), {"kl_weight": kl_weight})
        assert check_config(config) is None


@pytest.mark.parametrize("section", _CHOICES)
def test_an_argument_means_one_kind_of_value_whatever_is_chosen(section):
    """The command line reads it by its type, and may not know the definition yet."""
    chosen, kinds = _CHOICES[section], {}
    for name in chosen.definitions:
        for key, setting in chosen.settings(name).items():
            if setting.has_default:
                kinds.setdefault(key, set()).add(type(setting.default))
    assert all(len(found) == 1 for found in kinds.values()), kinds
