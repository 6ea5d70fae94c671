"""A tiny configuration, batch and corpus for the training tests."""

import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from wae_rnf_jax.functional.objectives import WITH_CODEBOOK
from wae_rnf_jax.runs.metrics import MetricsLog
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.training import loop, step

V, B, L = 13, 8, 5

# Compiled whole: operation by operation, a step takes many times as long.
train_step = jax.jit(step.train_step, static_argnames=("recipe", "axis_name"))
eval_step = jax.jit(step.eval_step, static_argnames=("recipe", "axis_name"))


def tiny_config(**objective):
    """The defaults at sizes that compile and run in seconds, with plain gradient descent."""
    config = default.get_config()
    config.data.num_buckets = 1
    config.model.update(embedding_dim=6, hidden_dim=6, latent_dim=3, num_flow_steps=2)
    config.model.update(cross_entropy_block=64, dropout=0.0)
    config.codebook.update(num_centers=3, num_codes=32, warm_up=1, refresh_every=2)
    config.kl_weight.update(start=0, length=10)
    config.train.update(batch_size=B, num_epochs=2)
    if objective:
        with config.unlocked():
            config.objective = type(config)(objective)
    if config.objective.name not in WITH_CODEBOOK:
        config.codebook = default.get_config().codebook
        config.codebook.num_centers = 0
    return config


@pytest.fixture(scope="session")
def batch():
    """Eight rows, the last two of padding."""
    rng = np.random.default_rng(0)
    lengths = np.array([5, 1, 3, 4, 2, 5, 0, 0], np.int32)
    tokens = rng.integers(4, V, (B, L)).astype(np.int32)
    tokens[np.arange(L)[None] >= lengths[:, None]] = 0
    return {
        "tokens": jnp.asarray(tokens),
        "lengths": jnp.asarray(lengths),
        "index": jnp.asarray([31, 5, 8, 2, 11, 40, 90, 91]),
        "where": jnp.asarray(lengths > 0),
    }


@pytest.fixture
def rng():
    return jax.random.key(7)


SENTENCES = ["the cat sat", "a dog ran far away", "the dog sat", "a cat ran", "birds sing"]


@pytest.fixture
def text_folder(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), ("valid", 11), ("test", 9)):
        rows = [SENTENCES[i] for i in rng.integers(0, len(SENTENCES), count)]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def config(text_folder, tmp_path):
    return of_corpus(tiny_config(name="vae"), text_folder, tmp_path)


def of_corpus(config, text_folder, tmp_path):
    config.data.update(source="text", path=str(text_folder), cache_dir=str(tmp_path / "cache"))
    config.train.update(log_every=3, learning_rate=0.01, num_epochs=2)
    if config.objective.name == "vae":
        config.model.num_flow_steps = 0
        config.codebook.num_centers = 0
    return config


def stop_after(monkeypatch, step, signum=signal.SIGTERM):
    """Sends this process a signal while it takes a step, as a scheduler would."""
    add = MetricsLog.add

    def add_and_signal(log, at, metrics):
        add(log, at, metrics)
        if at == step:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(MetricsLog, "add", add_and_signal)


def lines_of(workdir, split):
    """The lines of a run's metrics of one split."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == split]


def assert_same_models(*workdirs):
    """Of two runs, bit for bit."""
    models = [load_trained_model(workdir).model for workdir in workdirs]
    jax.tree.map(np.testing.assert_array_equal, *(model.variables for model in models))


def resumed_alike(config, tmp_path, monkeypatch, *, stop, message=None):
    """Trains a run, and one that is stopped and resumed; they are the same. Returns the first."""
    whole = loop.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, stop)
        with pytest.raises(loop.Interrupted, match=message):
            loop.train(config, tmp_path / "parts")
    loop.train(config, tmp_path / "parts")
    assert_same_models(whole, tmp_path / "parts")
    return whole
