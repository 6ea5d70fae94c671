"""Commands on runs of other tokenizers than white space: raw sentences in, readable ones out."""

import json
import math

import numpy as np
import pytest
from command_runs import ROOT, SENTENCES, train_arguments

from wae_rnf_jax import cli
from wae_rnf_jax.data.corpora import load_evaluation_corpus
from wae_rnf_jax.evaluation.comparison import EvaluatedRun, footing_notes

RAW = ["The cat, the dog sat!", "a Cat ran  away."]
TOKENIZERS = {
    "bpe": {"data.vocab_size": 270},
    "char": {},
    "words": {"data.lower_case": True},
}


@pytest.fixture(scope="module")
def raw_folder(tmp_path_factory):
    """A text with capitals and punctuation."""
    folder, rng = tmp_path_factory.mktemp("raw"), np.random.default_rng(0)
    for name, count in (("train", 40), ("valid", 9), ("test", 7)):
        rows = [f"{SENTENCES[i].capitalize()}{'.!'[i % 2]}" for i in rng.integers(0, 5, count)]
        (folder / f"{name}.txt").write_text("".join(f"{row}\n" for row in rows))
    return folder


@pytest.fixture(
    scope="module",
    params=["bpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("char", "words"))],
)
def run(request, raw_folder, tmp_path_factory):
    """A trained run of each tokenizer: its name and workdir."""
    workdir = tmp_path_factory.mktemp("runs") / request.param
    changes = {"data.tokenizer": request.param, **TOKENIZERS[request.param]}
    assert cli.main(train_arguments(raw_folder, workdir, "vae", **changes)) == 0
    return request.param, workdir


def output(capsys, *arguments) -> str:
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def is_readable(text: str) -> bool:
    return not set("▁ĠĊ") & set(text) and "  " not in text


def test_every_command_takes_raw_sentences_and_prints_readable_ones(run, stdin, capsys, tmp_path):
    name, workdir = run
    stdin("\n".join(RAW))
    lines = output(capsys, "reconstruct", f"--workdir={workdir}").splitlines()
    assert lines[::2] == [" ".join(line.split()) for line in RAW]
    assert all(is_readable(line.removeprefix("  -> ")) for line in lines[1::2])
    samples = output(capsys, "sample", f"--workdir={workdir}", "--num=20", "--max_length=40")
    assert len(samples.splitlines()) == 20
    assert all(map(is_readable, samples.splitlines()))
    ends = (f"--start={RAW[0]}", f"--end={RAW[1]}", "--num_points=3")
    path = output(capsys, "interpolate", f"--workdir={workdir}", *ends).splitlines()
    assert len(path) == 5  # the sentences themselves first and last
    assert all(is_readable(line[6:]) for line in path)
    stdin("\n".join(RAW))
    scored = output(
        capsys, "score", f"--workdir={workdir}", "--num_samples=2", "--format=tsv"
    ).splitlines()
    tokens = [int(line.split("\t")[2]) for line in scored[1:]]
    vocabulary = load_evaluation_corpus(workdir / "corpus").vocabulary
    assert tokens == [len(vocabulary.encode(line)) + 1 for line in RAW]
    stdin("\n".join(RAW))
    output(capsys, "encode", f"--workdir={workdir}", f"--output={tmp_path / 'codes.npz'}")
    assert np.load(tmp_path / "codes.npz")["codes"].shape == (2, 2)
    assert f"tokenizer {name}" in output(capsys, "info", f"--workdir={workdir}")


def test_bits_per_character_are_of_the_text(run, raw_folder, capsys):
    name, workdir = run
    few = ("--num_samples=2", "--num_generated=3", "--num_reconstructions=2")
    out = output(capsys, "evaluate", f"--workdir={workdir}", *few)
    results = json.loads((workdir / "results.json").read_text())
    metrics = results["metrics"]
    if name == "words":  # the capitals are lost
        assert "bits_per_char" not in metrics
        assert metrics["unk_share"] == 0
        assert results["settings"]["text"] == ""
        return
    text = (raw_folder / "test.txt").read_text()
    bits = metrics["nll_iw"] * 7 / math.log(2) / len(text)
    assert metrics["num_chars"] == len(text)
    assert math.isclose(metrics["bits_per_char"], bits, rel_tol=1e-6)
    assert "bits_per_char" in out
    assert len(results["settings"]["text"]) == 16


def test_a_resumed_run_finds_its_tokenizer_wherever_it_is(run, raw_folder, tmp_path, capsys):
    name, workdir = run
    file = tmp_path / "moved.json"
    file.write_bytes((workdir / "corpus" / "tokenizer.json").read_bytes())
    arguments = train_arguments(raw_folder, workdir, "vae", **{"data.tokenizer": file})
    assert cli.main(arguments) == 0
    assert "already trained" in capsys.readouterr().out
    other = {"data.tokenizer": "words" if name == "char" else "char"}
    assert cli.main(train_arguments(raw_folder, workdir, "vae", **other)) == 2
    said = (
        "lower_case is true there and false"
        if name == "words"
        else "the text or the tokenizer is not the one that"
    )
    assert said in capsys.readouterr().err


def evaluated(name: str, tokenizer: str, text: str, **metrics) -> EvaluatedRun:
    settings = {"text": text} if text is not None else {}
    metrics = {"num_samples": 9, **metrics}
    return EvaluatedRun(
        name=name,
        workdir=name,
        system="lm",
        corpus="text",
        fingerprint=f"of {tokenizer}",
        tokenizer=tokenizer,
        split="test",
        settings=settings,
        metrics=metrics,
        seed=0,
        identity="",
    )


def test_compare_says_what_of_different_tokens_can_be_compared():
    with_bits = {"bits_per_char": 1.5}
    one = [
        evaluated("a", "bpe", "0" * 16, **with_bits),
        evaluated("b", "char", "0" * 16, **with_bits),
    ]
    (note,) = footing_notes(one)
    assert note.startswith(
        "The runs read one text with different tokenizers (a: bpe; b: char): compare bits"
    )
    assert footing_notes(one[:1]) == []
    notes = footing_notes([one[0], evaluated("c", "whitespace", "", unk_share=0.1)])
    assert "perplexities cannot be compared between them" in notes[0]
    assert "unknown for c, whose tokens do not give all of the text" in notes[0]
    assert notes[1].startswith("These metrics are from different corpora")
    notes = footing_notes([one[0], evaluated("d", "char", "1" * 16, **with_bits)])
    assert "bits per character could be, but here they are of different characters" in notes[0]
    # Of an earlier version, whose results say nothing of the text.
    old = [evaluated("e", "whitespace", None), one[0]]
    assert "unknown for e" in footing_notes(old)[0]


def test_prepare_tells_labels_and_shows_sentences(tmp_path, capsys):
    rows = "".join(f'{"5" if i % 4 else "1"},"Good, no {i} !"\n' for i in range(40))
    (tmp_path / "reviews.csv").write_text(f"stars,review\n{rows}")
    settings = {
        **{"source": "table", "path": tmp_path / "reviews.csv", "text_field": "review"},
        **{"label_field": "stars", "tokenizer": "words", "cache_dir": tmp_path / "cache"},
        "fractions": "(0.6,0.2,0.2)",
    }
    arguments = [f"--config.data.{key}={value}" for key, value in settings.items()]
    config = f"--config={ROOT}/configs/grammar/lm.py"
    out = output(capsys, "prepare", config, *arguments, "--sample=3")
    assert "; tokenizer: words\n" in out
    (balance,) = [line for line in out.splitlines() if line.startswith("labels of train: 5 ")]
    assert balance.endswith("%")
    sample = out.splitlines()[-3:]
    assert sample[0] == "[5] ▁Good , ▁no ▁1 ▁!"
    dry = output(capsys, "train", config, *arguments, "--dry_run")
    assert balance in dry
    workdir = tmp_path / "run"
    short = ["--config.train.num_epochs=1", "--config.model.hidden_dim=8"]
    output(capsys, "train", config, *arguments, *short, f"--workdir={workdir}")
    assert balance in output(capsys, "info", f"--workdir={workdir}")
