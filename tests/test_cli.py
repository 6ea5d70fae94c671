"""The `wae-rnf` command from end to end on a tiny text, and what it says to bad input."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.training.objectives import OBJECTIVES
from wae_rnf_jax.training.state import build_recipe, check_config

ROOT = Path(__file__).parent.parent
SENTENCES = ["the cat sat", "a dog ran far away", "the dog sat", "a cat ran", "birds sing"]
SMALL = {
    "data.source": "text",
    "data.num_buckets": 1,
    "model.embedding_dim": 8,
    "model.hidden_dim": 8,
    "model.latent_dim": 2,
    "model.dropout": 0.0,
    "kl_weight.length": 5,
    "train.batch_size": 8,
    "train.num_epochs": 2,
    "train.log_every": 2,
}


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    rng = np.random.default_rng(0)
    for name, count in (("train", 40), ("valid", 9), ("test", 7)):
        rows = [SENTENCES[i] for i in rng.integers(0, len(SENTENCES), count)]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    return folder


def train_arguments(text_folder, workdir, system="vae", **changes):
    settings = {
        **SMALL,
        "data.path": text_folder,
        "data.cache_dir": text_folder / "cache",
        **changes,
    }
    config = f"--config={ROOT}/configs/grammar/{system}.py"
    overrides = [f"--config.{key}={value}" for key, value in settings.items()]
    return ["train", config, f"--workdir={workdir}", *overrides]


@pytest.fixture(scope="module")
def workdir(text_folder, tmp_path_factory):
    """A trained run that the other commands use."""
    workdir = tmp_path_factory.mktemp("runs") / "vae"
    assert cli.main(train_arguments(text_folder, workdir)) == 0
    return workdir


def test_evaluate_prints_the_figures_and_writes_them(workdir, capsys):
    assert cli.main(["evaluate", f"--workdir={workdir}", "--num_samples=3"]) == 0
    out = capsys.readouterr().out
    results = json.loads((workdir / "results.json").read_text())
    figures = results["figures"]
    assert results["split"] == "test"
    assert figures["num_sentences"] == 7
    assert figures["nll_iw"] <= figures["neg_elbo"] + 1e-6
    for name in ("nll_iw", "ppl_iw", "neg_elbo", "rec", "kl", "kl_base", "mi", "au", "nll_paper"):
        assert name in out
    assert "no bound" in out


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


def test_prepare_says_what_the_corpus_holds(text_folder, capsys):
    arguments = train_arguments(text_folder, "unused")
    assert cli.main(["prepare", *(a for a in arguments[1:] if "workdir" not in a)]) == 0
    out = capsys.readouterr().out
    assert "train: 40 sentences" in out
    assert "padding: " in out


BAD = {
    "no command": ([], "COMMAND"),
    "unknown command": (["trian"], "unknown command 'trian': one of prepare, train"),
    "unknown flag": (["sample", "--wordkir=x"], "wordkir"),
    "stray argument": (["sample", "x"], "unexpected argument 'x'"),
    "no workdir": (["sample"], "--workdir is missing"),
    "not a run": (["evaluate", "--workdir={tmp}"], "holds no run (no config.json)"),
    "no config": (["train", "--workdir={tmp}/new"], "--config is missing"),
    "missing config file": (["train", "--config={tmp}/none.py"], "none.py"),
    "unknown key": (
        ["train", "--config={root}/configs/grammar/vae.py", "--config.train.epochs=3"],
        "epochs",
    ),
    "value out of range": (
        ["train", "--config={root}/configs/grammar/vae.py", "--config.model.dropout=1.5"],
        "--config.model.dropout is 1.5: it must be at least 0 and below 1",
    ),
    "missing folder": (
        [
            "prepare",
            "--config={root}/configs/grammar/vae.py",
            "--config.data.source=text",
            "--config.data.path={tmp}/nowhere",
        ],
        "nowhere",
    ),
    "zero samples": (["evaluate", "--workdir={tmp}", "--num_samples=0"], "num_samples"),
}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, tmp_path, capsys):
    places = {"tmp": tmp_path, "root": ROOT}
    assert cli.main([a.format(**places) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert "Traceback" not in captured.err


def test_commands_that_need_a_sentence_say_so(workdir, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("\n\n")
    for arguments, message in (
        (["interpolate", f"--workdir={workdir}", "--end=the dog"], "--start is missing"),
        (["reconstruct", f"--workdir={workdir}", f"--input={tmp_path}/empty.txt"], "no sentence"),
        (["reconstruct", f"--workdir={workdir}", f"--input={tmp_path}/none.txt"], "none.txt"),
        (["sample", f"--workdir={workdir}", "--top_p=0"], "top_p"),
    ):
        assert cli.main(arguments) == 2
        assert message in capsys.readouterr().err


def test_help_lists_commands_and_flags(capsys):
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(name in overview for name in cli.COMMANDS)
    assert cli.main(["evaluate", "--help"]) == 0
    assert "--num_samples" in capsys.readouterr().out


def test_ctrl_c_saves_and_says_how_to_resume(text_folder, tmp_path):
    workdir = tmp_path / "run"
    changes = {"train.num_epochs": 4000, "train.eval_every": 100_000, "train.log_every": 1}
    command = [sys.executable, "-m", "wae_rnf_jax.cli"]
    process = subprocess.Popen(
        [*command, *train_arguments(text_folder, workdir, **changes)],
        cwd=ROOT,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    last = errors.strip().splitlines()[-1]
    assert "stopped and saved at step" in last
    assert last.endswith("the same command resumes it")
    assert list((workdir / "checkpoints" / "latest").iterdir())


def test_every_config_file_is_accepted():
    files = sorted((ROOT / "configs").glob("*/*.py"))
    systems = {"lm", "vae", "wae", "wae_nf", "wae_rnf"} | {n for n in OBJECTIVES if "paper" in n}
    for corpus in ("grammar", "ptb"):
        assert {f.stem for f in files if f.parent.name == corpus} == systems | {"base"}
    for file in files:
        module = importlib.import_module(f"configs.{file.parent.name}.{file.stem}")
        config = module.get_config()
        check_config(config)
        build_recipe(config, 50, steps_per_epoch=10, axis_name=None)
        if file.stem != "base":
            assert config.system == file.stem
            assert f"--config=configs/{file.parent.name}/{file.stem}.py" in module.__doc__
