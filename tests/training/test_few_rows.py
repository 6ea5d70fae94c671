"""Batches of one sentence, as the last of an epoch may be, on any layout."""

import json
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import layouts
from benchmarks.layouts import Layout
from tests.training.conftest import of_corpus, tiny_config
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.models.posteriors import MaskedBatchNorm
from wae_rnf_jax.training.codebook import CodebookSettings, initial_codebook, updated_codebook
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.loop import train

LAYOUTS = [Layout(None), Layout("pmap", 4), Layout("shard_map", 2, 2), Layout("shard_map", 4)]


def with_valid(num_valid):
    """The first batch of the layouts' cases, with so many rows that are no padding."""
    batch = next(layouts.batches())
    where = np.arange(layouts.ROWS) < num_valid
    lengths = np.where(where, batch["lengths"], 0)
    tokens = np.where(where[:, None], batch["tokens"], 0)
    return {**batch, "where": where, "lengths": lengths, "tokens": tokens}


@pytest.mark.parametrize(
    "kind, layout",
    [
        *product(("all", "groups", "biased"), LAYOUTS[2:3]),
        *(
            pytest.param(*values, marks=pytest.mark.slow)
            for values in (
                *product(("all",), (LAYOUTS[0], LAYOUTS[1], LAYOUTS[3])),
                *product(("groups", "biased"), LAYOUTS[:1]),
            )
        ),
    ],
    ids=str,
)
def test_a_step_of_one_sentence_leaves_out_what_needs_two(kind, layout, monkeypatch):
    """Of two micro-batches the second has none at all."""
    of_system = layouts.tiny_config

    def tiny_config(system):
        config = of_system(system)
        config.train.mmd_group = 2 if kind == "groups" else 0
        if kind == "biased":
            config.objective.biased_mmd = True
        return config

    monkeypatch.setattr(layouts, "tiny_config", tiny_config)
    system = "wae_paper" if kind == "biased" else "wae"
    step, state = layouts.mapped(system, layout, train=True)
    before = jax.device_get(state)
    after, metrics = jax.device_get(step(state, with_valid(1), jax.random.key(7)))
    metrics = {name: float(value) for name, value in metrics.items()}
    assert metrics["mmd"] == 0
    expected = metrics["rec"] + metrics["kl_weight"] * metrics["kl"]
    assert metrics["loss"] == pytest.approx(expected, rel=1e-6)
    jax.tree.map(np.testing.assert_array_equal, after.batch_stats, before.batch_stats)


@pytest.mark.parametrize("layout", [x for x in LAYOUTS if x.accumulate == 1], ids=str)
def test_a_step_of_two_sentences_has_all_terms(layout):
    step, state = layouts.mapped("wae", layout, train=True)
    before = jax.device_get(state)
    after, metrics = jax.device_get(step(state, with_valid(2), jax.random.key(7)))
    assert abs(float(metrics["mmd"])) > 1e-4
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), after.batch_stats, before.batch_stats)
    assert min(jax.tree.leaves(moved)) > 0


def test_one_row_is_normalized_by_the_running_statistics(key):
    """Its mean is itself: by its own statistics it would be 0, whatever it says."""
    norm, rows = MaskedBatchNorm(), 3 + jax.random.normal(key, (4, 2))
    variables = norm.init(key, rows, where=jnp.ones(4, bool), train=True)
    stats = {"mean": jnp.array([1.0, 2.0]), "var": jnp.array([4.0, 0.25])}
    variables = {**variables, "batch_stats": stats}
    one = jnp.arange(4) < 1
    y, updates = norm.apply(variables, rows, where=one, train=True, mutable=["batch_stats"])
    expected = (rows[0] - stats["mean"]) / jnp.sqrt(stats["var"])
    np.testing.assert_allclose(y[0], expected, rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], stats)
    evaluated = norm.apply(variables, rows, where=one, train=False)
    np.testing.assert_allclose(y[0], evaluated[0], rtol=1e-6)


def test_padding_is_no_code_of_the_codebook(key):
    """Also while the codebook fills: a code at the origin was none of a sentence."""
    settings = CodebookSettings(
        num_centers=2, num_codes=12, warm_up=0, refresh_every=1, num_iterations=10, floor=1e-3
    )
    book = initial_codebook(settings, 2)
    points = jnp.array([[50.0, 50.0], [50.0, 51.0], [60.0, 50.0], [60.0, 51.0]])
    for step, num_valid in enumerate((0, 1, 3)):  # the first batch has none at all
        where = jnp.arange(4) < num_valid
        spreads = jnp.where(where, 1.0, 7.0)
        book = updated_codebook(
            book, points, spreads, where, jnp.asarray(step), key, settings=settings, axis_name=None
        )
        assert bool(book.ready) == (num_valid > 0)
        if num_valid:
            assert float(book.centers.min()) >= 50
    # Codes: twice the first point, once the second and the third.
    np.testing.assert_allclose(
        book.centers[jnp.argsort(book.centers[:, 0])], [[50, 50 + 1 / 3], [60, 50]], rtol=1e-5
    )
    np.testing.assert_allclose(book.bandwidth**2, 0.5 * (2 / 9 * 3 / 4 + 1), rtol=1e-4)


def test_a_tiny_corpus_with_a_batch_of_one_sentence_keeps_a_loss_of_a_bound(text_folder, tmp_path):
    lines = (text_folder / "train.txt").read_text().splitlines()
    (text_folder / "train.txt").write_text("\n".join(lines[:9]) + "\n")
    config = of_corpus(tiny_config(name="wae", mmd_weight=10.0), text_folder, tmp_path)
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.posterior.batch_norm = True
    config.train.update(log_every=1, num_epochs=3)
    train(config, tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == "train"]
    alone = [row["mmd"] == 0 for row in rows]
    assert [sum(alone[i : i + 2]) for i in (0, 2, 4)] == [1, 1, 1]  # one such step an epoch
    assert min(row["loss"] for row in rows) > 0


@pytest.mark.parametrize(
    "objective, batch_norm", [({"name": "vae"}, True), ({"name": "wae", "mmd_weight": 9.0}, False)]
)
def test_micro_batches_of_one_sentence_are_refused_where_they_need_two(objective, batch_norm):
    config = tiny_config(**objective)
    config.posterior.batch_norm = batch_norm
    config.train.update(batch_size=8, accumulate=4)
    check_config(config)
    config.train.accumulate = 8
    with pytest.raises(InputError, match=r"train.accumulate is 8: micro-batches would have 1"):
        check_config(config)
    config = tiny_config(name="vae")
    config.train.update(batch_size=8, accumulate=8)
    check_config(config)
