"""`sample`, `reconstruct` and `interpolate`."""

import pytest

from wae_rnf_jax import cli


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
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_language_model_samples_but_does_not_reconstruct(lm_workdir, refusal, stdin, capsys):
    assert cli.main(["sample", f"--workdir={lm_workdir}", "--num=2", "--max_length=6"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    stdin("the cat sat\n")
    assert "no latent code" in refusal("reconstruct", f"--workdir={lm_workdir}")


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
        f"wae-rnf: --{flag} is {value}, and nothing in this run reads it: it is read where "
        f"--strategy is {reader}, and --strategy is {strategy}"
    )
