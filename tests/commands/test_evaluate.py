import json
import shutil

import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.data import corpora
from wae_rnf_jax.data.corpora import load_corpus, save_evaluation_corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.trained_model import load_trained_model

LIKELIHOOD = ("nll_iw", "ppl_iw", "neg_elbo", "rec", "kl", "kl_base", "mi", "au", "nll_paper")
FEW = ("--num_samples=3", "--num_generated=12")


@pytest.fixture
def copied(workdir, tmp_path):
    """A copy of the run, for results of its own."""
    return shutil.copytree(workdir, tmp_path / "copy")


def results_of(workdir, *arguments):
    assert cli.main(["evaluate", f"--workdir={workdir}", *arguments]) == 0
    return json.loads((workdir / "results.json").read_text())


def test_evaluate_prints_the_metrics_and_writes_them(copied, lm_workdir, capsys):
    results = results_of(copied, *FEW, f"--lm_workdir={lm_workdir}")
    out = capsys.readouterr().out
    metrics = results["metrics"]
    assert results["split"] == "test"
    assert metrics["num_sentences"] == metrics["num_reconstructions"] == 7
    assert metrics["nll_iw"] <= metrics["neg_elbo"] + 1e-6
    assert metrics["num_generated"] == metrics["num_self_bleu"] == 12
    text = ("recon_bleu", "distinct_1", "distinct_2", "distinct_3", "self_bleu", "novel")
    for name in (*LIKELIHOOD, *text, "sample_lm_nll", "sample_lm_ppl"):
        assert name in metrics
        assert name in out
    assert 0 <= metrics["novel"] <= 1
    assert results["settings"]["lm_step"] == 10
    assert "not a bound" in out
    assert metrics["mi"] < 0.2  # of so short a training
    assert "The code has collapsed: it carries " in out


def test_text_metrics_leave_the_likelihood_as_it_is(copied):
    with_text = results_of(copied, *FEW, "--num_reconstructions=2")["metrics"]
    without = results_of(copied, *FEW[:1], "--num_reconstructions=0", "--num_generated=0")
    assert with_text["num_reconstructions"] == 2
    assert set(with_text) > set(without["metrics"])
    assert without["metrics"] == {name: with_text[name] for name in without["metrics"]}
    assert not {"recon_bleu", "self_bleu", "novel"} & set(without["metrics"])


def test_the_samples_are_those_of_the_command_sample(copied, capsys):
    metrics = results_of(copied, *FEW, "--num_reconstructions=0", "--seed=3")["metrics"]
    capsys.readouterr()
    longest = int(load_trained_model(copied).corpus.test.lengths.max())
    sampling = [f"--workdir={copied}", "--num=12", "--seed=3", f"--max_length={longest + 1}"]
    assert cli.main(["sample", *sampling]) == 0
    words = capsys.readouterr().out.split()
    assert metrics["distinct_1"] == len(set(words)) / len(words)


def test_a_language_model_has_no_reconstructions(lm_workdir, tmp_path, capsys):
    workdir = shutil.copytree(lm_workdir, tmp_path / "lm")
    metrics = results_of(workdir, *FEW)["metrics"]
    assert "recon_bleu" not in metrics
    assert metrics["num_generated"] == 12
    assert metrics["kl"] == metrics["mi"] == 0
    assert "code has collapsed" not in capsys.readouterr().out


def test_without_the_training_text_novelty_is_left_out(copied, tmp_path, capsys):
    path = copied / "config.json"
    config = json.loads(path.read_text())
    config["data"]["cache_dir"] = str(tmp_path / "empty")
    path.write_text(json.dumps(config))
    metrics = results_of(copied, *FEW, "--num_reconstructions=0")["metrics"]
    assert "novel" not in metrics
    assert "self_bleu" in metrics
    assert "novel is not computed" in capsys.readouterr().err


def test_a_damaged_cache_costs_no_more_than_novelty(copied, monkeypatch, capsys):
    def damaged(cache, fingerprint):
        raise InputError(f"{cache} is damaged")

    monkeypatch.setattr(corpora, "cached_corpus", damaged)
    metrics = results_of(copied, *FEW, "--num_reconstructions=0")["metrics"]
    assert "novel" not in metrics
    assert "nll_iw" in metrics
    assert "is damaged" in capsys.readouterr().err


def test_a_judge_must_be_a_language_model_of_the_same_words(
    workdir, lm_workdir, text_folder, tmp_path, refusal, capsys
):
    judged = ("evaluate", f"--workdir={workdir}")
    said = refusal(*judged, f"--lm_workdir={workdir}")
    assert "--lm_workdir" in said
    assert "latent code (vae)" in said
    said = refusal(*judged, f"--lm_workdir={tmp_path}")
    assert f"--lm_workdir: {tmp_path} holds no run" in said
    other = shutil.copytree(lm_workdir, tmp_path / "other")
    shutil.rmtree(other / "corpus")
    cache = str(text_folder / "cache")
    corpus = load_corpus("text", path=str(text_folder), cache_dir=cache, min_count=9)
    save_evaluation_corpus(corpus, other / "corpus")
    capsys.readouterr()
    assert "does not have the vocabulary of" in refusal(*judged, f"--lm_workdir={other}")


def test_numbers_of_sentences_below_zero_are_refused(workdir, refusal):
    for flag in ("num_generated", "num_reconstructions"):
        assert flag in refusal("evaluate", f"--workdir={workdir}", f"--{flag}=-1")
