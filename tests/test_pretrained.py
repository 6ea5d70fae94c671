"""The trained models that come with the checkout: small, whole, and as good as is said of them."""

import json
import math
from pathlib import Path

import jax
import pytest

import wae_rnf_jax
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.evaluation.likelihood import evaluate_split
from wae_rnf_jax.evaluation.splits import random_rows

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.name for path in (ROOT / "pretrained").glob("*/"))


@pytest.fixture(scope="module", params=NAMES)
def folder(request):
    return ROOT / "pretrained" / request.param


@pytest.fixture(scope="module")
def run(folder):
    return wae_rnf_jax.load_run(folder)


@pytest.fixture(scope="module")
def results(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def test_split(run, data_dir, tmp_path_factory):
    """Of the text that the model was trained on."""
    path, cache = data_dir / "ptb", tmp_path_factory.mktemp("cache")
    corpus = load_corpus("text", path=str(path), cache_dir=str(cache))
    assert corpus.fingerprint == run.trained.corpus.fingerprint
    return corpus.test


def test_it_is_small_and_holds_no_sentence(folder, run):
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 20e6
    assert sizes.keys() == {
        *("README.md", "config.json", "metrics.jsonl", "model.safetensors", "results.json"),
        *("corpus.json", "vocabulary.txt"),
    }
    arrays = jax.tree.leaves(run.variables["params"])
    assert sum(math.prod(array.shape) for array in arrays) <= 8.8e6


def test_what_is_said_of_it_was_measured_of_it(folder, run, results):
    metrics = results["metrics"]
    assert (results["split"], results["settings"]["step"]) == ("test", run.step)
    assert f"`nll_iw` {metrics['nll_iw']:.4g}" in (folder / "README.md").read_text()
    lines = (ROOT / "README.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith("|") and folder.name in line)
    for name in ("nll_iw", "ppl_iw", "kl", "mi"):
        assert f" {metrics[name]:.2f} " in row


def test_it_writes_sentences(run):
    assert run.sample(2, max_length=8) == run.sample(2, max_length=8)
    assert len(set(run.sample(4, max_length=8))) > 1


def test_its_perplexity_is_that_of_the_results(run, results, test_split):
    """Of a part of the split and few draws, which tell it within some percent."""
    rows = random_rows(test_split, 200, seed=0)
    sentences = [test_split.sentence(row) for row in rows]
    part = TokenSplit.from_sentences(sentences, vocab_size=run.vocabulary.size)
    scale = results["metrics"].get("proposal_scale", 1.0)
    options = {"num_samples": 2, "proposal_scale": scale, "num_buckets": 2}
    found = evaluate_split(run.trained.model, part, **options)
    assert found["ppl_iw"] == pytest.approx(results["metrics"]["ppl_iw"], rel=0.1)


@pytest.mark.slow
def test_its_bound_on_the_whole_split_is_that_of_the_results(run, results, test_split):
    found = evaluate_split(run.trained.model, test_split, num_samples=2)
    for name, error in (("neg_elbo", 0.1), ("kl", 0.1), ("mi", 0.1), ("au", 0)):
        assert found[name] == pytest.approx(results["metrics"][name], abs=error)
