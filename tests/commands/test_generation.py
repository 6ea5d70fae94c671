"""`sample`, `reconstruct` and `interpolate`."""

import json

import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.trained import load_run


def test_sample_is_the_same_for_the_same_seed(workdir, capsys):
    arguments = ["sample", f"--workdir={workdir}", "--num=4", "--max_length=6", "--top_p=0.9"]
    outputs = []
    for seed in (1, 1, 2):
        assert cli.main([*arguments, f"--seed={seed}"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    assert len(outputs[0].splitlines()) == 4


def test_reconstruct_reads_a_file_and_names_unknown_words(workdir, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("the cat sat\n\na zebra ran\n")
    arguments = ["reconstruct", f"--workdir={workdir}", f"--input={tmp_path}/in.txt"]
    assert cli.main([*arguments, "--max_length=6", "--strategy=beam"]) == 0
    captured = capsys.readouterr()
    assert [line for line in captured.out.splitlines() if not line.startswith("  ->")] == [
        "the cat sat",
        "a zebra ran",
    ]
    assert captured.err.splitlines()[-1] == "read as <unk>: zebra"


def test_interpolate_walks_between_two_sentences(workdir, capsys):
    arguments = ["interpolate", f"--workdir={workdir}", "--start=the cat sat", "--end=birds sing"]
    assert cli.main([*arguments, "--num_points=5", "--max_length=6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    places = ["start", "0.00", "0.25", "0.50", "0.75", "1.00", "end"]
    assert [line.split()[0] for line in lines] == places
    assert lines[0] == "start the cat sat"
    assert lines[-1] == "end   birds sing"
    found = load_run(workdir).interpolate("the cat sat", "birds sing", num_points=5, max_length=6)
    assert cli.main([*arguments, "--num_points=5", "--max_length=6", "--format=json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["sentence"] for row in rows[1:-1]] == list(found.sentences)
    assert [row["place"] for row in rows[1:-1]] == [0, 0.25, 0.5, 0.75, 1]


def test_reconstructions_as_a_table(workdir, stdin, capsys):
    stdin("the cat sat\n")
    arguments = ["reconstruct", f"--workdir={workdir}", "--max_length=6", "--format=tsv"]
    assert cli.main(arguments) == 0
    (text,) = load_run(workdir).reconstruct(["the cat sat"], max_length=6)
    expected = ["sentence\treconstruction", f"the cat sat\t{text}"]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_language_model_samples_but_does_not_reconstruct(lm_workdir, refusal, stdin, capsys):
    assert cli.main(["sample", f"--workdir={lm_workdir}", "--num=2", "--max_length=6"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    stdin("the cat sat\n")
    assert "no latent code" in refusal("reconstruct", f"--workdir={lm_workdir}")


@pytest.mark.parametrize("temperature", ["1e-38", "1e-46", "1e-31", "0"])
def test_the_coldest_temperatures_are_greedy(temperature, workdir, capsys):
    """1e-38 is above 0, and 0 in single precision."""
    command = ["sample", f"--workdir={workdir}", "--num=4", "--max_length=6"]
    assert cli.main([*command, "--strategy=greedy"]) == 0
    expected = capsys.readouterr().out
    assert cli.main([*command, f"--temperature={temperature}"]) == 0
    assert capsys.readouterr().out == expected


def test_sentences_that_are_cut_are_counted(lm_workdir, capsys):
    command = ["sample", f"--workdir={lm_workdir}", "--num=70", "--seed=3"]
    assert cli.main([*command, "--max_length=2"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    cut = sum(len(line.split()) == 2 for line in lines)  # an end would be the second
    assert 0 < cut < 70
    assert captured.err.splitlines()[-1] == (
        f"wae-rnf: {cut} of 70 sentences did not end within max_length, 2 words, and are cut there"
    )
    assert cli.main([*command, "--max_length=1000"]) == 0
    assert "cut there" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "strategy, flag, value, reader",
    [
        ("greedy", "temperature", "0.5", "sample"),
        ("beam", "top_p", "0.5", "sample"),
        ("sample", "beam_width", "3", "beam"),
        ("sample", "length_penalty", "0.6", "beam"),
    ],
)
def test_what_a_strategy_does_not_read_is_refused(strategy, flag, value, reader, refusal):
    command = ("sample", "--workdir=none", f"--strategy={strategy}", f"--{flag}={value}")
    assert refusal(*command) == (
        f"wae-rnf: --{flag} is {value}, but nothing in this run reads it: it is read only if "
        f"--strategy is {reader}, and --strategy is {strategy}"
    )
