"""`encode`, `decode` and `shift` of a run of labelled sentences."""

import io
import json

import numpy as np
import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.trained import load_run

LONG = "the food was good " * 40


@pytest.fixture(scope="module")
def reviews(checkout_with_run):
    return checkout_with_run / "runs" / "reviews"


@pytest.fixture
def codes_of(reviews, tmp_path, capsys):
    """Encodes, and returns the file and its arrays."""

    def encode(*arguments):
        output = tmp_path / "codes.npz"
        assert cli.main(["encode", f"--workdir={reviews}", f"--output={output}", *arguments]) == 0
        with np.load(output) as arrays:
            return output, dict(arrays)

    return encode


def sentences_of(arrays):
    return arrays["sentences"].tobytes().decode().split("\n")


def test_a_split_is_encoded_with_its_labels_and_sentences(codes_of, reviews, capsys):
    _, arrays = codes_of("--split=test")
    assert "12 codes of 2 dimensions with their labels written" in capsys.readouterr().out
    texts, labels = load_run(reviews).split("test")
    assert sentences_of(arrays) == texts
    assert arrays["label_names"][arrays["labels"]].tolist() == labels
    np.testing.assert_array_equal(arrays["codes"], load_run(reviews).encode(texts).zk)


def test_labels_of_lines_are_kept(codes_of, stdin):
    stdin("good\tthe food was good\nbad the food was bad\n")
    _, arrays = codes_of()
    assert arrays["label_names"][arrays["labels"]].tolist() == ["good", "bad"]
    texts = sentences_of(arrays)
    assert texts == ["the food was good", "the food was bad"]


def test_the_file_grows_with_the_text_and_not_with_its_longest_line(codes_of, stdin):
    short = "the food was good\n" * 300
    stdin(short)
    size = codes_of()[0].stat().st_size
    stdin(short + LONG + "\n")
    grown = codes_of()[0].stat().st_size
    assert len(LONG) <= grown - size < len(LONG) + 200


def test_codes_are_decoded_to_the_reconstructions(codes_of, reviews, stdin, capsys):
    stdin("the food was good\nrude service\n")
    path, arrays = codes_of()
    capsys.readouterr()
    decode = ["decode", f"--workdir={reviews}", "--max_length=6"]
    assert cli.main([*decode, f"--input={path}"]) == 0
    texts = capsys.readouterr().out.splitlines()
    assert texts == load_run(reviews).decode(arrays["codes"], max_length=6)
    np.save(path.with_suffix(".npy"), arrays["codes"])
    assert cli.main([*decode, f"--input={path.with_suffix('.npy')}"]) == 0
    assert capsys.readouterr().out.splitlines() == texts


def test_files_that_hold_no_codes_are_refused(reviews, tmp_path, refusal):
    decode = ("decode", f"--workdir={reviews}")
    assert "--input is missing: name a file of codes" in refusal(*decode)
    path = tmp_path / "x.npz"
    assert "cannot be read as a NumPy array: No such file" in refusal(*decode, f"--input={path}")
    path.write_text("text")
    assert "cannot be read as a NumPy array" in refusal(*decode, f"--input={path}")
    path.write_bytes(b"PK\x03\x04cut")
    assert "cannot be read as a NumPy array" in refusal(*decode, f"--input={path}")
    np.savez(path, z=np.zeros(2), w=np.zeros(2))
    assert "contains no array named codes, but z, w" in refusal(*decode, f"--input={path}")
    np.savez(path, codes=np.zeros((2, 7)))
    assert "takes real numbers of shape [N, 2]" in refusal(*decode, f"--input={path}")
    content = io.BytesIO()
    np.save(content, np.array([{}]), allow_pickle=True)
    path.write_bytes(content.getvalue())
    assert "cannot be read as a NumPy array" in refusal(*decode, f"--input={path}")


def test_a_split_and_an_input_are_one_too_many(reviews, tmp_path, refusal):
    encode = ("encode", f"--workdir={reviews}", f"--output={tmp_path}/c.npz", "--split=test")
    assert "--split and --input both name sentences" in refusal(*encode, "--input=x.txt")


def test_shifted_sentences_are_decoded_from_shifted_codes(reviews, stdin, capsys):
    stdin("bad\tthe food was bad\n")
    labels = ["--from_label=bad", "--to_label=good", "--strengths=0,2.5"]
    arguments = ["shift", f"--workdir={reviews}", "--max_length=6", *labels]
    assert cli.main([*arguments, "--format=json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    run = load_run(reviews)
    texts, names = run.split("valid")
    codes, good = np.asarray(run.encode(texts).zk), np.array(names) == "good"
    difference = codes[good].mean(0) - codes[~good].mean(0)
    np.testing.assert_allclose(run.label_difference("bad", "good")[0], difference, atol=1e-5)
    own = run.encode(["the food was bad"]).zk
    for row, strength in zip(rows, (0, 2.5), strict=True):
        assert (row["label"], row["sentence"]) == ("bad", "the food was bad")
        assert row["strength"] == strength
        assert [row["shifted"]] == run.decode(own + strength * difference[None], max_length=6)
    stdin("the food was bad\n")
    assert cli.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the food was bad"
    assert [line.split()[0] for line in lines[1:]] == ["0", "2.5"]


def test_what_codes_cannot_be_shifted_by_is_refused(reviews, workdir, stdin, refusal):
    stdin("the food was bad\n")
    shift = ("shift", f"--workdir={reviews}")
    assert "--from_label is missing" in refusal(*shift)
    said = refusal(*shift, "--from_label=bad", "--to_label=god")
    assert "there is no label 'god': the labels are good, bad; did you mean good?" in said
    assert "name two different ones" in refusal(*shift, "--from_label=bad", "--to_label=bad")
    good = ("--from_label=bad", "--to_label=good")
    assert "--strengths: could not convert" in refusal(*shift, *good, "--strengths=1,x")
    assert "give finite numbers" in refusal(*shift, *good, "--strengths=nan")
    said = refusal("shift", f"--workdir={workdir}", *good)
    assert "training text has no labels" in said
