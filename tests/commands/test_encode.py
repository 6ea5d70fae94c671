import os

import numpy as np

from wae_rnf_jax import cli
from wae_rnf_jax.trained import load_run


def test_codes_are_written_with_their_sentences(workdir, tmp_path, stdin, capsys):
    stdin("the cat sat\n\n a  zebra\tran \n")
    output = tmp_path / "codes.npz"
    output.write_bytes(b"an older file")
    assert cli.main(["encode", f"--workdir={workdir}", "--input=-", f"--output={output}"]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "read as <unk>: zebra"
    assert "2 codes of 2 dimensions" in captured.out
    run = load_run(workdir)
    with np.load(output) as arrays:
        assert sorted(arrays) == ["codes", "log_var", "mean", "sentences"]
        sentences = arrays["sentences"].tobytes().decode().split("\n")
        assert sentences == ["the cat sat", "a zebra ran"]
        encoded = run.encode(sentences)
        posterior = encoded.posterior
        expected = {"codes": encoded.zk, "mean": posterior.mean, "log_var": posterior.log_var}
        for name, values in expected.items():
            assert arrays[name].shape == (2, 2)
            np.testing.assert_array_equal(arrays[name], values)
    assert os.listdir(tmp_path) == ["codes.npz"]


def test_the_file_is_in_proportion_to_the_text(workdir, tmp_path, stdin):
    """One long sentence does not widen all others."""
    lines = ["cat " * 300, *["der Kater saß"] * 400]
    stdin("\n".join(lines))
    output = tmp_path / "codes.npz"
    assert cli.main(["encode", f"--workdir={workdir}", f"--output={output}"]) == 0
    with np.load(output, allow_pickle=False) as arrays:
        assert arrays["sentences"].nbytes <= len("\n".join(lines).encode())
        sentences = arrays["sentences"].tobytes().decode().split("\n")
        assert sentences == [line.strip() for line in lines]
        assert len(arrays["codes"]) == len(sentences)
    assert output.stat().st_size < 60_000


def test_of_many_unknown_words_some_are_named(workdir, tmp_path, stdin, capsys):
    stdin("".join(f"the q{number}\n" for number in range(2000, 3234)))
    assert cli.main(["encode", f"--workdir={workdir}", f"--output={tmp_path}/codes.npz"]) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("read as <unk>: q2000, q2001, ")
    assert said.endswith(", q2019 and 1,214 more")


def test_a_language_model_is_refused_and_nothing_written(lm_workdir, tmp_path, stdin, refusal):
    stdin("the cat sat\n")
    said = refusal("encode", f"--workdir={lm_workdir}", f"--output={tmp_path}/codes.npz")
    assert "language model: it has no latent code" in said
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_refused(workdir, tmp_path, refusal):
    encode = ("encode", f"--workdir={workdir}")
    assert "--output is missing: name a file, such as codes.npz" in refusal(*encode)
    assert "must end in .npz" in refusal(*encode, f"--output={tmp_path}/codes.txt")
    assert f"no folder {tmp_path}/none" in refusal(*encode, f"--output={tmp_path}/none/codes.npz")
