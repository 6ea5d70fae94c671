"""Bad input, in one table a topic: each case is one sentence on standard error and exit code 2.

Cases are refused before anything is compiled, and leave nothing behind. What every key of a
configuration may be is told in tests/training/test_config_check.py, mistyped names in
tests/test_cli.py, interruptions and streams in test_interruption.py.
"""

import json
import shutil

import numpy as np
import pytest
from command_runs import ROOT, train_arguments

from wae_rnf_jax import cli

# What a text must not be: the changed files of a folder -> what is said of it.
LONG = b"word " * 10_000
TEXTS = {
    "no folder": (None, "needs a folder with train.txt, valid.txt and test.txt"),
    "a missing split": ({"valid": None}, "has no valid.txt"),
    "an empty file": ({"test": b""}, "test.txt is empty: it must contain one sentence"),
    "empty lines alone": ({"valid": b"\n \n"}, "the valid split contains no sentences, only"),
    "latin-1": ({"train": b"a b\nc \xe9t\xe9\n"}, "train.txt:2: not UTF-8 (byte 3 of the line)"),
    "utf-16 with its mark": ({"train": "a b\n".encode("utf-16")}, "train.txt:1: not UTF-8"),
    "a NUL byte": ({"train": b"a\nb\0c\n"}, "train.txt:2: a NUL byte"),
    "a reserved word": ({"train": b"a <eos> b\n"}, "train.txt:1: the word <eos> is reserved"),
    "no word of its own": ({"train": b"<unk>\n"}, "the vocabulary is empty"),
}
# What a text may be -> the sentences and words of its training split.
TOLERATED = {
    "a byte-order mark": (b"\xef\xbb\xbfa dog\nthe cat\n", 2, 4),
    "carriage returns": (b"a dog\r\n\r\nthe cat\r\n", 2, 4),
    "empty lines": (b"\n\na dog\n \t\n\nthe cat\n\n", 2, 4),
    "no line feed at the end": (b"a dog\nthe cat", 2, 4),
    "a line of ten thousand words": (LONG + b"\nword\n", 2, 10_001),
    "one sentence of one word": (b"word", 1, 1),
}
VAE = "--config={root}/configs/grammar/vae.py"
RNF = "--config={root}/configs/grammar/wae_rnf.py"
CONFIGURATIONS = {
    "an unknown key": (VAE, "train.epochs=3", "has no such key; did you mean --config.train.num_"),
    "a mistyped key": (VAE, "model.latentdim=3", "did you mean --config.model.latent_dim?"),
    "an element of a key": (VAE, "data.num_sentences[0]=3", "data.num_sentences[0]"),
    "letters for a whole number": (
        VAE,
        "train.batch_size=few",
        "--config.train.batch_size is 'few': it must be a whole number",
    ),
    "a fraction for a whole number": (
        VAE,
        "train.batch_size=2.5",
        "--config.train.batch_size is '2.5': it must be a whole number",
    ),
    "letters for a number": (
        VAE,
        "model.dropout=none",
        "--config.model.dropout is 'none': it must be a number",
    ),
    "no truth value": (
        VAE,
        "posterior.batch_norm=maybe",
        "--config.posterior.batch_norm is 'maybe': it must be true or false",
    ),
    "no value": (VAE, "train.seed=", "--config.train.seed is '': it must be a whole number"),
    "not a number": (VAE, "train.learning_rate=nan", "learning_rate is nan: it must be above 0"),
    "infinity": (VAE, "train.learning_rate=inf", "learning_rate is inf: it must be above 0"),
    "a name that is none of the choices": (VAE, "model.flow=spline", "must be one of planar"),
    "two numbers of three": (
        VAE,
        "data.num_sentences=(5,5)",
        "data.num_sentences is (5, 5): it must be three whole numbers of at least 1",
    ),
    "no code where one is needed": (
        RNF,
        "model.latent_dim=0",
        "--config.model.latent_dim is 0: objective wae_rnf needs at least 1",
    ),
    "fewer than no centers": (
        RNF,
        "codebook.num_centers=-1",
        "--config.codebook.num_centers is -1: it must be a whole number of at least 0",
    ),
    "fewer than no flow steps": (
        RNF,
        "model.num_flow_steps=-1",
        "--config.model.num_flow_steps is -1: it must be a whole number of at least 0",
    ),
    "a cap above 1": (
        RNF,
        "kl_weight.maximum=1.5",
        "--config.kl_weight.maximum is 1.5: it must be from 0 to 1",
    ),
    "a missing file of centers": (
        RNF.replace("wae_rnf.", "wae_rnf_paper."),
        "codebook.centers_file=/no/such.npy",
        "--config.codebook.centers_file: /no/such.npy cannot be read",
    ),
    "a variable that is not set": (
        VAE,
        "data.cache_dir=$NO_SUCH_VARIABLE/x",
        "--config.data.cache_dir is $NO_SUCH_VARIABLE/x, but that environment variable is not set",
    ),
    "a batch that the devices do not divide": (
        VAE,
        "train.batch_size=6",
        "--config.train.batch_size is 6, which 4 devices do not divide: use a multiple of 4",
    ),
}
# Refused though there is no such workdir: flags are checked before it is opened.
SAMPLE = ("sample", "--workdir={tmp}/none")
INTERPOLATE = ("interpolate", "--workdir={tmp}/none", "--start=a dog")
GEOMETRY = ("geometry", "--workdir={tmp}/none", "--start=a dog")
FLAGS = {
    "fewer than no sentences": ((*SAMPLE, "--num=-1"), "--num is '-1': -1 is not a positive"),
    "letters for a number of sentences": ((*SAMPLE, "--num=x"), "--num is 'x': it must be a whole"),
    "a negative temperature": ((*SAMPLE, "--temperature=-1"), "--temperature is -1.0, but must be"),
    "an infinite temperature": ((*SAMPLE, "--temperature=inf"), "--temperature is inf, but must"),
    "letters for a temperature": ((*SAMPLE, "--temperature=x"), "'x': it must be a number"),
    "no probability": ((*SAMPLE, "--top_p=0"), "--top_p is 0.0, but must be above 0 and at most 1"),
    "more than all probability": ((*SAMPLE, "--top_p=1.1"), "--top_p is 1.1, but must be above 0"),
    "no beam": ((*SAMPLE, "--beam_width=0"), "--beam_width is 0, but must be from 1"),
    "no length": ((*SAMPLE, "--max_length=0"), "--max_length is 0, but must be from 1"),
    "a negative penalty": ((*SAMPLE, "--length_penalty=-1"), "--length_penalty is -1.0, but must"),
    "an unknown strategy": ((*SAMPLE, "--strategy=best"), "greedy|sample|beam"),
    "a negative seed": ((*SAMPLE, "--seed=-1"), "--seed is '-1'"),
    "a seed of 33 bits": ((*SAMPLE, "--seed=4294967296"), "--seed is '4294967296'"),
    "no draws": (
        ("evaluate", "--workdir={tmp}/none", "--num_samples=0"),
        "--num_samples is '0': 0 is not a positive integer",
    ),
    "an unknown split": (("evaluate", "--split=train"), "<valid|test>"),
    "no start": (("interpolate", "--workdir={tmp}/none", "--end=a dog"), "--start is missing"),
    "an end without words": ((*INTERPOLATE, "--end= "), "--end contains no words: give a sentence"),
    "a reserved word": ((*INTERPOLATE, "--end=a <eos>"), "--end: the word <eos> is reserved"),
    "one point": ((*INTERPOLATE, "--end=a cat", "--num_points=1"), "--num_points is '1'"),
    "no third sentence": ((*GEOMETRY, "--end=a", "--through= "), "--through contains no words"),
    "a map of one point": ((*GEOMETRY, "--end=a cat", "--grid=1"), "--grid is '1'"),
    "no configuration's name": (("train", "--config="), "--config is missing"),
    "no configuration at all": (("train", "--config"), "--config is missing"),
}
# By one command or another: all read their sentences alike.
SENTENCES = {
    "no file": ("score", None, "in.txt: No such file or directory"),
    "an empty file": ("reconstruct", b"", "contains no sentences: give one per line"),
    "empty lines": ("encode", b"\n \n", "contains no sentences: give one per line"),
    "latin-1": ("score", b"the cat\n\xe9\n", "in.txt:2: not UTF-8"),
    "a NUL byte": ("reconstruct", b"the cat\0\n", "in.txt:1: a NUL byte"),
    "a reserved word": ("encode", b"the <pad>\n", "in.txt:1: the word <pad> is reserved"),
}


@pytest.fixture
def filled(tmp_path, workdir, lm_workdir):
    """Fills a command line's places in."""
    places = {"tmp": tmp_path, "root": ROOT, "vae": workdir, "lm": lm_workdir}
    return lambda arguments: [argument.format(**places) for argument in arguments]


@pytest.fixture
def prepare(tmp_path):
    """Arguments that prepare a text of these files, the others being sound."""

    def arguments(files):
        folder = tmp_path / "text"
        folder.mkdir()
        sound = dict.fromkeys(("train", "valid", "test"), b"a dog\nthe cat\n")
        for name, content in {**sound, **(files or {})}.items():
            if content is not None:
                (folder / f"{name}.txt").write_bytes(content)
        return [
            "prepare",
            f"--config={ROOT}/configs/grammar/lm.py",
            "--config.data.source=text",
            f"--config.data.path={folder if files is not None else tmp_path / 'none'}",
            f"--config.data.cache_dir={tmp_path / 'cache'}",
        ]

    return arguments


def left_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("files, message", TEXTS.values(), ids=TEXTS)
def test_text_that_is_none_is_refused(files, message, prepare, tmp_path, refusal):
    assert message in refusal(*prepare(files))
    assert left_in(tmp_path / "cache") == []


@pytest.mark.parametrize("train, sentences, words", TOLERATED.values(), ids=TOLERATED)
def test_unusual_text_is_read(train, sentences, words, prepare, capsys):
    assert cli.main(prepare({"train": train, "valid": b"word", "test": b"word"})) == 0
    assert f"train: {sentences} sentences, {words} words" in capsys.readouterr().out


@pytest.mark.parametrize("config, change, message", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_configuration_is_refused_by_its_key(
    config, change, message, filled, tmp_path, refusal, monkeypatch
):
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    places = [f"--workdir={tmp_path}/run", f"--config.data.cache_dir={tmp_path}/cache"]
    assert message in refusal("train", *filled([config]), *places, f"--config.{change}")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("arguments, message", FLAGS.values(), ids=FLAGS)
def test_flag_is_refused_by_its_name(arguments, message, filled, tmp_path, refusal):
    assert message in refusal(*filled(arguments))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("command, content, message", SENTENCES.values(), ids=SENTENCES)
def test_sentences_are_refused_by_their_line(command, content, message, workdir, tmp_path, refusal):
    file = tmp_path / "in.txt"
    if content is not None:
        file.write_bytes(content)
    output = [f"--output={tmp_path}/codes.npz"] if command == "encode" else []
    said = refusal(command, f"--workdir={workdir}", f"--input={file}", *output)
    assert said.startswith("wae-rnf: --input: ")
    assert message in said
    assert left_in(tmp_path) == (["in.txt"] if content is not None else [])


def test_a_folder_is_no_file_of_sentences(workdir, tmp_path, refusal):
    said = refusal("score", f"--workdir={workdir}", f"--input={tmp_path}")
    assert f"--input: cannot read {tmp_path}: Is a directory" in said
    assert "No such file" in refusal("score", f"--workdir={workdir}", "--input=~nobody-here/x")


def test_unusual_sentences_are_read(workdir, lm_workdir, tmp_path, capsys):
    unknown = tmp_path / "unknown.txt"
    unknown.write_bytes(b"\xef\xbb\xbfzebra quagga\r\n\r\n\n")
    long = tmp_path / "long.txt"
    long.write_bytes(b"cat " * 10_000)
    assert cli.main(["encode", f"--workdir={workdir}", f"--input={unknown}",
                     f"--output={tmp_path}/codes.npz"]) == 0  # fmt: skip
    assert "read as <unk>: quagga, zebra" in capsys.readouterr().err
    with np.load(tmp_path / "codes.npz") as arrays:
        assert arrays["sentences"].tobytes() == b"zebra quagga"
        assert np.isfinite(arrays["codes"]).all()
    path = [f"--workdir={workdir}", "--start=zebra", "--end=the quagga", "--num_points=2"]
    assert cli.main(["interpolate", *path, "--max_length=4"]) == 0
    captured = capsys.readouterr()
    assert "read as <unk>: quagga, zebra" in captured.err
    assert len(captured.out.splitlines()) == 4
    score = ["score", f"--workdir={lm_workdir}", "--format=tsv"]
    assert cli.main([*score, f"--input={long}"]) == 0
    nll, per_token, tokens, _ = capsys.readouterr().out.splitlines()[1].split("\t")
    assert tokens == "10001"
    assert float(nll) == pytest.approx(float(per_token) * 10_001, rel=1e-3)


OUTPUTS = {
    "encode": ("encode", "--workdir={vae}", "--input={tmp}/in.txt", "--output={place}/codes.npz"),
    "geometry": (
        *("geometry", "--workdir={vae}", "--start=a dog", "--end=a cat"),
        "--output={place}/plane",
    ),
    "plot": ("plot", "{vae}", "--output={place}/plots"),
}


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("place", ["{tmp}/file", "/proc"])
def test_output_that_cannot_be_written_is_refused(command, place, filled, tmp_path, refusal):
    (tmp_path / "file").touch()
    (tmp_path / "in.txt").write_text("the cat sat\n")
    arguments = [part.replace("{place}", place) for part in OUTPUTS[command]]
    said = refusal(*filled(arguments))
    assert said.startswith("wae-rnf: --output: ")
    assert filled([place])[0] in said
    assert left_in(tmp_path) == ["file", "in.txt"]


def test_a_folder_is_no_file_of_codes(workdir, tmp_path, refusal):
    folder = tmp_path / "codes.npz"
    folder.mkdir()
    said = refusal("encode", f"--workdir={workdir}", f"--output={folder}")
    assert f"--output: {folder} is a folder: name a file in it" in said


@pytest.mark.parametrize("place", ["{tmp}/file", "{tmp}/file/run", "/proc/run"])
def test_workdir_that_cannot_be_written_is_refused(place, text_folder, filled, tmp_path, refusal):
    (tmp_path / "file").touch()
    (workdir,) = filled([place])
    said = refusal(*train_arguments(text_folder, workdir))
    assert said.startswith(f"wae-rnf: --workdir: {workdir} cannot be written (")
    assert said.endswith("): name another folder")
    assert left_in(tmp_path) == ["file"]


@pytest.fixture
def copied(workdir, tmp_path):
    return shutil.copytree(workdir, tmp_path / "copy")


def test_metrics_are_shown_where_they_cannot_be_written(copied, capsys):
    (copied / "results.json").mkdir()
    few = ("--num_samples=3", "--num_reconstructions=0", "--num_generated=0")
    assert cli.main(["evaluate", f"--workdir={copied}", *few]) == 2
    captured = capsys.readouterr()
    assert "importance-weighted NLL" in captured.out
    said = f"wae-rnf: --workdir: {copied}/results.json cannot be written: Is a directory"
    assert captured.err.splitlines()[-1] == said
    assert not list(copied.glob(".results*"))


CONFIG_FILES = {
    "no run": (None, "holds no run (no config.json): name a workdir of `wae-rnf train`"),
    "no JSON": ("{", "config.json cannot be read"),
    "another file": ("[1, 2]", "is not the configuration of a run"),
    "no sections": ('{"model": {}}', "is not the configuration of a run"),
}


@pytest.mark.parametrize("command", ["sample", "evaluate", "info"])
@pytest.mark.parametrize("content, message", CONFIG_FILES.values(), ids=CONFIG_FILES)
def test_workdir_of_no_run_is_refused(command, content, message, tmp_path, refusal):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert message in refusal(command, f"--workdir={tmp_path}")


def test_workdir_of_another_version_or_configuration_is_refused(copied, text_folder, refusal):
    said = refusal(*train_arguments(text_folder, copied, **{"model.hidden_dim": 9}))
    assert "(model.hidden_dim is 8 there and 9 here): name another workdir" in said
    config = json.loads((copied / "config.json").read_text())
    config["model"]["of_later_versions"] = 1
    (copied / "config.json").write_text(json.dumps(config))
    assert "does not fit this version" in refusal("sample", f"--workdir={copied}")


def test_vocabulary_edited_by_hand_is_found_and_can_be_made_again(
    copied, text_folder, refusal, capsys
):
    vocabulary = copied / "corpus" / "vocabulary.txt"
    vocabulary.write_text(vocabulary.read_text().replace("dog", "fox"))
    said = f"{vocabulary} has changed since it was written; delete {copied}/corpus, and the same"
    for command in ("sample", "evaluate", "info"):
        assert said in refusal(command, f"--workdir={copied}")
    assert said in refusal(*train_arguments(text_folder, copied))
    shutil.rmtree(copied / "corpus")
    assert "holds no prepared corpus" in refusal("sample", f"--workdir={copied}")
    assert cli.main(train_arguments(text_folder, copied)) == 0
    assert "already trained" in capsys.readouterr().out
    assert "dog" in vocabulary.read_text()


def test_a_truncated_checkpoint_is_named_and_the_one_before_used(copied, refusal, capsys):
    def truncate(step):
        for folder in (copied / "checkpoints").glob(f"*/{step}"):
            largest = max(folder.rglob("*"), key=lambda path: path.stat().st_size)
            largest.write_bytes(largest.read_bytes()[:-1])

    sample = ["sample", f"--workdir={copied}", "--num=2", "--max_length=6"]
    truncate(10)
    assert cli.main(sample) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "/10 is damaged (" in captured.err.splitlines()[0]
    assert captured.err.splitlines()[0].endswith("/5")
    truncate(5)
    assert "no checkpoint is intact" in refusal(*sample)


def test_a_checkpoint_of_another_run_is_refused(copied, lm_workdir, refusal):
    for kind in ("best", "latest"):
        shutil.rmtree(copied / "checkpoints" / kind)
    shutil.copytree(lm_workdir / "checkpoints", copied / "checkpoints", dirs_exist_ok=True)
    said = refusal("sample", f"--workdir={copied}")
    other = "a checkpoint of a run with another configuration than the workdir's config.json"
    assert f"is {other}" in said


def test_temperature_0_is_greedy(workdir, capsys):
    texts = []
    for how in ("--temperature=0", "--strategy=greedy"):
        assert cli.main(["sample", f"--workdir={workdir}", "--num=3", "--max_length=6", how]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != ""


@pytest.mark.slow
@pytest.mark.parametrize("system", ["lm", "wae_rnf"])
def test_one_sentence_of_one_word_is_enough(system, tmp_path, capsys):
    """The smallest corpus there is: every mean is over one sentence, every vocabulary of one."""
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("word\n")
    small = {"model.num_flow_steps": 1, "codebook.num_centers": 2, "codebook.warm_up": 0}
    changes = small if system == "wae_rnf" else {}
    workdir = tmp_path / "run"
    assert cli.main(train_arguments(tmp_path, workdir, system, **changes)) == 0
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert {line.pop("split") for line in lines} == {"train", "valid"}
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    capsys.readouterr()
    assert cli.main(["sample", f"--workdir={workdir}", "--num=2", "--max_length=3"]) == 0
    assert set(capsys.readouterr().out.split()) <= {"word", "<unk>"}
