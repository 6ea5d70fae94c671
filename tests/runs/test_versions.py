"""Runs that version 0.1 began are used and resumed as if this version had begun them.

`version_0_1/` holds a half-trained run of `lm` and of `wae_rnf` as that version left them, with
what it found of them, and of the same runs at their end, in `expected.json`.
"""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.versions import (
    ADDED,
    MOVED,
    current_config,
    current_state,
    fitted,
    identity,
)

ROOT = Path(__file__).parents[2]
RUNS = Path(__file__).parent / "version_0_1"
SYSTEMS = ("lm", "wae_rnf")
KEYS = {
    "model.embedding_dim": 8,
    "model.hidden_dim": 8,
    "data.num_sentences": "(192,48,48)",
    "data.num_buckets": 1,
    "data.seed": 3,
    "train.batch_size": 32,
    "train.num_epochs": 4,
    "train.log_every": 3,
    "train.eval_every": 8,
}
WITH_CODE = {
    "model.latent_dim": 4,
    "codebook.num_centers": 3,
    "codebook.num_codes": 64,
    "codebook.warm_up": 2,
    "codebook.refresh_every": 4,
    "kl_weight.start": 0,
    "kl_weight.length": 10,
}


@pytest.fixture(params=SYSTEMS)
def run(request, tmp_path):
    workdir = tmp_path / request.param
    shutil.copytree(RUNS / request.param, workdir)
    return workdir


def evaluated(workdir):
    """Its metrics, those left out that this version has and that one had not."""
    flags = ("--num_samples=5", "--num_generated=0", "--num_reconstructions=0")
    assert cli.main(["evaluate", f"--workdir={workdir}", *flags]) == 0
    metrics = json.loads((workdir / "results.json").read_text())["metrics"]
    # Words of its test split are unknown, so that there are no bits per character.
    assert 0 < metrics.pop("unk_share") < 0.1
    return metrics


def train_arguments(workdir, cache, **changes):
    keys = {**KEYS, **(WITH_CODE if workdir.name == "wae_rnf" else {}), **changes}
    keys["data.cache_dir"] = cache
    config = f"--config={ROOT}/configs/grammar/{workdir.name}.py"
    overrides = [f"--config.{key}={value}" for key, value in keys.items()]
    return ["train", config, f"--workdir={workdir}", *overrides]


def expected_of(workdir):
    return json.loads((RUNS / workdir.name / "expected.json").read_text())


def test_its_metrics_are_what_that_version_found(run):
    metrics = evaluated(run)
    expected = expected_of(run)["metrics"]
    assert metrics.keys() >= expected.keys()  # later versions measure more
    found = {name: metrics[name] for name in expected}
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_it_is_resumed_to_the_same_end(run, tmp_path):
    """The next step is the same; after it Adam follows the sign of what is rounding alone."""
    before = json.loads((run / "config.json").read_text())
    assert cli.main(train_arguments(run, tmp_path / "cache", **{"train.log_every": 1})) == 0
    after = json.loads((run / "config.json").read_text())
    assert after["train"]["log_every"] == 1
    for section in ("kl_weight", "codebook"):  # a language model reads neither: they stay
        assert after[section] == before[section]
    expected = expected_of(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {(line["step"], line["split"]): line for line in lines}
    assert [line["step"] for line in expected["resumed"]] == [14, 24, 24]
    for line in expected["resumed"]:
        close = {"rel": 1e-5, "abs": 1e-5} if line["step"] == 14 else {"rel": 1e-2, "abs": 1e-2}
        for name in line.keys() - {"step", "split"}:
            actual = found[line["step"], line["split"]][name]
            assert actual == pytest.approx(line[name], **close), (line["step"], name)
    at_end, metrics = expected["metrics_at_end"], evaluated(run)
    found = {name: metrics[name] for name in at_end}
    assert found == pytest.approx(at_end, rel=1e-2, abs=1e-2)


def test_another_configuration_is_refused_in_todays_words(run, tmp_path, capsys):
    # A language model does not read the first: that version set it, and it is not compared.
    renamed, always_read = {"posterior.batch_norm": False}, {"model.dropout": 0.5}
    changes = always_read if run.name == "lm" else renamed
    assert cli.main(train_arguments(run, tmp_path / "cache", **changes)) == 2
    error = capsys.readouterr().err
    there = "model.dropout is 0.05" if run.name == "lm" else "posterior.batch_norm is true"
    assert f"another configuration ({there} there and" in error
    assert "; " not in error
    assert len(error.strip().splitlines()) == 1


def test_a_setting_is_known_by_its_first_name_and_new_ones_by_what_was_before():
    old = json.loads((RUNS / "wae_rnf" / "config.json").read_text())
    new = current_config(old)
    assert not {key for key in MOVED if key.partition(".")[2] in new["model"]}
    assert new["posterior"] == {"name": "gaussian", "batch_norm": True, "initial_log_var": -2.0}
    assert identity(new) == identity(old)
    assert current_config(new) == new
    for key, value in ADDED.items():
        section, _, name = key.partition(".")
        added = {**new, section: {**new[section], name: value}}
        assert identity(added) == identity(old)
        other = "another" if isinstance(value, str) else not value
        assert identity({**new, section: {**new[section], name: other}}) != identity(old)


def test_a_state_moves_with_its_optimizers_and_fits_its_structure():
    adam = {"count": np.array(3), "mu": _old_params(1.0), "nu": _old_params(2.0)}
    old = {"params": _old_params(0.0), "opt_state": [None, [adam, {"count": np.array(3)}]]}
    leaves = current_state(old)
    assert set(leaves) == {
        *(f"params/{name}" for name in ("output_layer/kernel", "output_layer/bias", "embedding")),
        "opt_state/1/count",
        *(
            f"opt_state/1/{moment}/{name}"
            for moment in ("mu", "nu")
            for name in ("output_layer/kernel", "output_layer/bias", "embedding")
        ),
    }
    assert leaves["opt_state/1/nu/output_layer/bias"].tolist() == [2.0, 2.0]
    params = {"output_layer": {"kernel": jnp.zeros((3, 2)), "bias": jnp.zeros(2)}}
    like = {"params": {**params, "embedding": jnp.ones((2, 3))}}
    found = fitted({"params": old["params"]}, like, place="here")
    assert found["params"]["embedding"].tolist() == np.zeros((2, 3)).tolist()
    wrong = {"params": {**params, "embedding": jnp.ones((2, 4))}}
    with pytest.raises(InputError, match=r"params/embedding is float32\[2, 3\] there and .*4\]"):
        fitted({"params": old["params"]}, wrong, place="here")


def _old_params(value):
    fill = lambda *shape: np.full(shape, value, np.float32)  # noqa: E731
    decoder = {"output_kernel": fill(3, 2), "output_bias": fill(2)}
    return {"decoder": decoder, "embedding": fill(2, 3)}
