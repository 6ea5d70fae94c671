"""Whole runs on a tiny corpus: resumption, signals, early stopping, and what is refused."""

import json
import math

import jax
import numpy as np
import pytest

from tests.training.conftest import of_corpus, stop_after, tiny_config
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.metrics import NonFiniteLoss
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.training import loop


def final_state(workdir):
    run = load_trained_model(workdir)
    return run.model.variables, run.step


def test_stopping_and_resuming_equals_never_stopping(text_folder, tmp_path, monkeypatch):
    config = of_corpus(tiny_config(), text_folder, tmp_path)  # with the codebook in its state
    config.model.dropout = 0.2
    config.train.select = "last"
    whole = loop.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(loop.Interrupted, match="saved at step 4 of 10; the same command"):
            loop.train(config, tmp_path / "parts")
    parts = loop.train(config, tmp_path / "parts")
    (expected, step), (resumed, resumed_step) = final_state(whole), final_state(parts)
    assert step == resumed_step == 10
    jax.tree.map(np.testing.assert_array_equal, expected, resumed)
    unaffected = [
        [{k: v for k, v in json.loads(line).items() if k != "tokens_per_second"} for line in text]
        for text in ((d / "metrics.jsonl").read_text().splitlines() for d in (whole, parts))
    ]
    by_split = [[x for x in lines if x["split"] == "valid"] for lines in unaffected]
    assert by_split[0] == by_split[1]
    assert [x["step"] for x in by_split[0]] == [5, 10]
    assert {"neg_elbo", "rec", "kl", "kl_base", "ppl", "mi", "au"} <= by_split[0][0].keys()
    steps = [x["step"] for x in unaffected[1] if x["split"] == "train"]
    assert steps == sorted(set(steps))


@pytest.mark.slow
def test_a_run_goes_on_by_another_backend(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=1, backend="pmap", select="last")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(loop.Interrupted, match="saved at step 3 of 5"):
            loop.train(config, tmp_path / "run")
    before, _ = final_state(tmp_path / "run")
    config.train.backend = "shard_map"
    after, step = final_state(loop.train(config, tmp_path / "run"))
    assert step == 5
    moved = jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), after, before))
    assert 0 < max(moved) < 0.05  # two steps of Adam at a rate of .01
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(x)["step"] for x in lines if '"train"' in x] == [3, 5]


def test_a_workdir_is_self_contained_and_refuses_another_configuration(
    config, tmp_path, text_folder, capsys
):
    config.train.num_epochs = 1
    config.kl_weight.length = 1  # λ is at its maximum from the first validation on
    workdir = loop.train(config, tmp_path / "run")
    config.train.update(log_every=5, backend="shard_map")
    loop.train(config, workdir)
    assert "already trained" in capsys.readouterr().out
    config.model.hidden_dim = 7
    with pytest.raises(
        InputError, match=r"another configuration \(model.hidden_dim is 6 there and 7"
    ):
        loop.train(config, workdir)
    for name in ("train", "valid", "test"):
        (text_folder / f"{name}.txt").unlink()
    run = load_trained_model(workdir)
    assert len(run.corpus.valid) == 11
    assert run.step == 5
    assert run.config["model"]["hidden_dim"] == 6
    assert run.config["train"]["log_every"] == 5


def test_early_stopping_counts_only_once_the_weight_is_at_its_maximum(config, tmp_path, capsys):
    config.train.update(patience=2, num_epochs=6, eval_every=2, learning_rate=1e-9)
    config.kl_weight.update(start=0, length=10, maximum=0.6)  # at its maximum from step 6 on
    values = iter([5.0, 4.0, math.nan, 3.0, 3.5, 3.6])  # what is no number is not the best either
    trainer_metrics = loop._Trainer.validation_metrics
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            loop._Trainer,
            "validation_metrics",
            lambda self: {**trainer_metrics(self), "neg_elbo": next(values)},
        )
        loop.train(config, tmp_path / "run")
    assert load_trained_model(tmp_path / "run").step == 8
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    valid = [json.loads(line)["step"] for line in lines if '"valid"' in line]
    assert valid == [2, 4, 6, 8, 10, 12]


def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(config, tmp_path):
    config.train.update(learning_rate=1e30, clip_norm=0.0, eval_every=1, learning_rate_decay="none")
    with pytest.raises(
        NonFiniteLoss, match=r"step \d+ is not finite.*last good checkpoint: step 1"
    ):
        loop.train(config, tmp_path / "run")
    assert load_trained_model(tmp_path / "run").step == 1


def test_devices_must_divide_the_batch(config, tmp_path):
    config.train.batch_size = 6
    with pytest.raises(InputError, match="batch_size is 6, which 4 devices do not divide"):
        loop.train(config, tmp_path / "run")
