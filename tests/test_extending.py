"""The changes of docs/extending.md, applied to a copy of the package, do what it says."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from command_runs import ROOT, SMALL, WITH_CODE, write_text
from documents import apply_change, blocks

DOCUMENT = "docs/extending.md"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A checkout with all changes made, and how many lines each of them adds."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("wae_rnf_jax", "configs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    added = [apply_change(block.code, folder) for block in blocks(DOCUMENT, "diff")]
    return folder, added


def run(folder, *arguments):
    """Runs Python on the copy; returns what it prints."""
    path = os.pathsep.join([str(folder), str(ROOT / "tests")])
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_change_is_small(copy):
    assert len(copy[1]) == 6
    assert all(0 < lines < 40 for lines in copy[1])


def test_changed_code_is_in_the_style_of_the_rest(copy):
    folder, _ = copy
    shutil.copy(ROOT / "pyproject.toml", folder)
    for command in (["check"], ["format", "--check"]):
        run(folder, "-m", "ruff", *command, "--no-cache", ".")
    assert (folder / "configs" / "grammar" / "vae_capacity.py").is_file()


def test_two_steps_with_all_additions(copy):
    folder, _ = copy
    found = json.loads(run(folder, ROOT / "tests" / "extended_package.py"))
    assert found["file"].startswith(str(folder))
    objective = found["objective"]
    for step in found["steps"]:
        distance = abs(step["kl"] - objective["capacity"])
        assert step["capacity"] == pytest.approx(distance, rel=1e-4)
        loss = step["rec"] + objective["capacity_weight"] * distance
        assert step["loss"] == pytest.approx(loss, rel=1e-4)
    assert found["steps"][1]["loss"] < found["steps"][0]["loss"]
    assert all(change > 0 for change in found["flow_change"].values())
    decoder = found["decoder_change"]
    assert "gru" in decoder
    assert "lstm" not in decoder
    assert "Dense_0" in found["encoder_change"]
    assert found["encoder"].pop("word") > 1e-3
    assert all(error < 1e-5 for error in found["encoder"].values()), found["encoder"]
    assert found["posterior"].pop("pairs") < 1e-5
    assert all(error < 0.03 for error in found["posterior"].values()), found["posterior"]
    assert found["flow"].pop("moved") > 0.5
    assert all(error < 1e-4 for error in found["flow"].values()), found["flow"]
    assert found["decoder"] < 1e-4
    moves = found["frozen"]
    assert moves["encoder"] > 0
    assert moves["decoder"] == moves["output_layer"] == moves["embedding"] == 0


@pytest.mark.slow
def test_commands_run(copy, tmp_path):
    folder, _ = copy
    text = write_text(tmp_path)
    tiny = {**SMALL, "data.path": text, "data.cache_dir": text / "cache", "train.num_epochs": 1}
    overrides = [f"--config.{key}={value}" for key, value in {**tiny, **WITH_CODE}.items()]
    of_command = {"train": overrides, "evaluate": ["--num_generated=5", "--num_samples=2"]}
    lines = "".join(block.code for block in blocks(DOCUMENT, "bash")).replace("\\\n", " ")
    commands = [shlex.split(line) for line in lines.splitlines()]
    assert {words[1] for words in commands} == {"train", "evaluate", "sample"}
    for program, name, *arguments in commands:
        assert program == "wae-rnf"
        added = of_command.get(name, [])
        assert run(folder, "-m", "wae_rnf_jax.cli", name, *arguments, *added)
    assert (folder / "runs" / "grammar" / "wae_sinh_arcsinh" / "metrics.jsonl").is_file()
