import json
from dataclasses import replace

import numpy as np
import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation.likelihood import per_sentence_likelihood
from wae_rnf_jax.runs.trained_model import load_trained_model

TEXT = "a dog ran far away\nbirds sing\nthe the cat cat\n"


def scored(capsys, *arguments):
    assert cli.main(["score", *arguments]) == 0
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def table(lines):
    header, *rows = (line.split("\t") for line in lines)
    assert header == ["nll", "nll_per_token", "num_tokens", "sentence"]
    return {row[3]: tuple(float(cell) for cell in row[:3]) for row in rows}


@pytest.fixture
def labelled(lm_workdir, monkeypatch):
    """The training text has the labels `the` and `a`, and sentences of at most 2 words."""
    run = load_trained_model(lm_workdir)
    config = {**run.config, "data": {**run.config["data"], "max_words": 2}}
    run = run._replace(config=config, corpus=replace(run.corpus, labels=("the", "a")))
    monkeypatch.setattr("wae_rnf_jax.runs.trained_model.load_trained_model", lambda workdir: run)
    return f"--workdir={lm_workdir}"


def test_sentences_unlike_the_training_text_are_told(labelled, stdin, capsys):
    stdin("the cat\nbirds sing now\n")
    lines, errors = scored(capsys, labelled, "--input=-")
    assert errors[0].startswith("wae-rnf: 1 of 2 sentences are longer than 2 words, at which")
    assert not any("label" in line for line in errors)
    assert lines[1].endswith("  the cat")


def test_labels_are_taken_off_and_shown(labelled, stdin, capsys, refusal):
    text = "the\tcat sat\na dog\n"
    stdin(text)
    lines, errors = scored(capsys, labelled, "--format=tsv")
    assert errors[0].startswith("labels are removed: every line begins with one")
    header, *rows = (line.split("\t") for line in lines)
    assert header == ["nll", "nll_per_token", "num_tokens", "label", "sentence"]
    assert [row[2:] for row in rows] == [["3", "the", "cat sat"], ["2", "a", "dog"]]
    stdin(text)
    lines, errors = scored(capsys, labelled, "--label=none", "--format=json")
    assert [row["sentence"] for row in json.loads("\n".join(lines))] == ["the cat sat", "a dog"]
    assert not any("labels" in line for line in errors)
    stdin("the cat\nbirds sing\n")
    said = refusal("score", labelled, "--label=leading")
    assert "sentence 2 of --input, 'birds sing', does not begin with one of the labels" in said
    stdin("the cat\na\n")
    assert "sentence 2 of --input, 'a'," in refusal("score", labelled, "--label=leading")


def test_labels_that_are_read_as_words_because_of_one_line_are_told(labelled, stdin, capsys):
    stdin("the cat sat\na dog\nbirds sing\n")
    lines, errors = scored(capsys, labelled)
    assert "2 of the 3 sentences of --input begin with a label, but sentence 3" in errors[0]
    assert any(line.endswith("  the cat sat") for line in lines)
    stdin("the cat sat\na dog\nbirds sing\n")
    _, errors = scored(capsys, labelled, "--label=none")
    assert not any("label" in line for line in errors)


def test_labels_need_a_text_that_has_them(workdir, stdin, refusal):
    stdin("the cat sat\n")
    said = refusal("score", f"--workdir={workdir}", "--label=leading")
    assert "the run's training text has no labels" in said


@pytest.mark.parametrize("system", ["vae", "lm"])
def test_a_whole_split_scores_as_in_the_evaluation(system, runs, tmp_path, capsys):
    run = load_trained_model(runs / system)
    split, vocabulary = run.corpus.test, run.corpus.vocabulary
    texts = [vocabulary.decode(split.sentence(row).tolist()) for row in range(len(split))]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    arguments = (f"--workdir={runs / system}", f"--input={tmp_path}/in.txt", "--num_samples=3")
    lines, errors = scored(capsys, *arguments, "--format=tsv")
    expected = per_sentence_likelihood(run.model, split, num_samples=3)["nll_iw"]
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[3] for row in rows] == texts
    np.testing.assert_allclose([float(row[0]) for row in rows], expected, rtol=1e-4)
    assert [int(row[2]) for row in rows] == [len(text.split()) + 1 for text in texts]
    how = "exact" if system == "lm" else "importance-weighted over S = 3 draws"
    assert f"({how})" in errors[-1]
    assert f"mean NLL {np.mean(expected):.2f} nats" in errors[-1]


def test_a_wider_proposal_is_told(workdir, stdin, capsys):
    stdin(TEXT)
    scale = "--proposal_scale=1.5"
    _, errors = scored(capsys, f"--workdir={workdir}", "--num_samples=3", scale)
    assert "S = 3 draws of a proposal 1.5 times as wide as the posterior" in errors[-1]


def test_sorting_changes_the_order_alone(lm_workdir, stdin, capsys):
    tables = {}
    for order in ("input", "nll", "nll_per_token"):
        stdin(TEXT)
        lines, _ = scored(capsys, f"--workdir={lm_workdir}", "--format=tsv", f"--sort={order}")
        tables[order] = table(lines)
    assert list(tables["input"]) == TEXT.splitlines()
    assert tables["input"] == tables["nll"] == tables["nll_per_token"]
    for column, order in enumerate(("nll", "nll_per_token")):
        metrics = [row[column] for row in tables[order].values()]
        assert metrics == sorted(metrics)
        assert len(set(metrics)) == 3
    for nll, per_token, tokens in tables["input"].values():
        assert per_token == pytest.approx(nll / tokens, abs=1e-5)


def test_text_is_aligned_and_names_unknown_words(workdir, stdin, capsys):
    stdin("the zebra sat\n")
    lines, errors = scored(capsys, f"--workdir={workdir}", "--num_samples=3")
    assert lines[0].split("  ")[-1] == lines[0][lines[1].index("the zebra") :] == "sentence"
    assert "read as <unk>: zebra" in errors


def test_bad_input_is_refused(workdir, stdin, refusal):
    stdin("the <pad> sat\n")
    said = refusal("score", f"--workdir={workdir}")
    assert "--input: standard input:1: the word <pad> is reserved" in said
    assert "input|nll|nll_per_token" in refusal("score", f"--workdir={workdir}", "--sort=length")
