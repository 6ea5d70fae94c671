"""The commands of docs/guide.md, run in order, on less text and with smaller models than it takes.

A shell runs each block, with a stand-in for `wae-rnf` that only writes down its arguments and its
input; after the block, those commands run in this process.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from command_runs import ROOT, SMALL, WITH_CODE
from documents import blocks

from configs import default
from wae_rnf_jax import cli
from wae_rnf_jax.commands import COMMANDS
from wae_rnf_jax.training.config_check import check_config

DOCUMENT = "docs/guide.md"
SET_UP = "bash launch/setup.sh\n"  # it would download all requirements
NUM_LINES = 150  # of the raw text
BASH = [block.code for block in blocks(DOCUMENT, "bash")]
OF_LABELS = "runs/demo"  # in every block of the road with labels
STAND_IN = """#!/bin/sh
number=$(ls "$CALLS" | wc -l)
printf '%s\\0' "$@" > "$CALLS/$((number + 1000)).arguments"
cat > "$CALLS/$((number + 1001)).input"
"""
# After a command's own arguments; the last of two values of a flag counts.
SMALLER = {
    "evaluate": ["--num_samples=2", "--num_generated=4", "--num_reconstructions=4"],
    "reconstruct": ["--max_length=8"],
    "interpolate": ["--num_points=2", "--max_length=8"],
    "geometry": ["--grid=2", "--num_codes=4", "--num_points=2", "--num_knots=2"],
    "sample": ["--max_length=8"],
    "score": ["--num_samples=2"],
    "shift": ["--max_length=8"],
    "decode": ["--max_length=8"],
}


def called(code: str) -> list[str]:
    """The commands that a block names."""
    return re.findall(r"wae-rnf (\w+)", code)


class Call(NamedTuple):
    """A call of `wae-rnf`."""

    name: str
    arguments: list[str]
    text: str


class Checkout:
    """A folder in which the guide is followed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls_folder = folder / "checkout", folder / "calls"
        programs = folder / "programs"
        for made in (self.folder, self.calls_folder, programs):
            made.mkdir()
        shutil.copytree(ROOT / "configs", self.folder / "configs")
        # A link to Python would not know the virtual environment that it lies in.
        python = f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n"
        for name, content in (("wae-rnf", STAND_IN), ("python", python)):
            (programs / name).write_text(content)
            (programs / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "CALLS": str(self.calls_folder),
        }

    def shell(self, code: str) -> list[Call]:
        """Runs a block and returns its calls of `wae-rnf`, which it does not make."""
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        calls = []
        for path in sorted(self.calls_folder.glob("*.arguments")):
            name, *arguments = path.read_text().split("\0")[:-1]
            text = path.with_name(f"{int(path.stem) + 1}.input").read_text()
            calls.append(Call(name, arguments, text))
        for path in self.calls_folder.iterdir():
            path.unlink()
        return calls


def settings(call: Call) -> list[str]:
    """What makes a call small."""
    if not COMMANDS[call.name].takes_config:
        return SMALLER.get(call.name, [])
    values = {**SMALL, "data.source": "text", "data.cache_dir": "cache", "train.num_epochs": 1}
    if not any("grammar/lm.py" in argument for argument in call.arguments):
        values |= {**WITH_CODE, "codebook.num_centers": 2, "codebook.num_codes": 8}
    if any("grammar/wae_rnf.py" in argument for argument in call.arguments):
        values |= {"data.source": "grammar", "data.num_sentences": (200, 60, 60)}
    given = " ".join(call.arguments)
    return [f"--config.{key}={value}" for key, value in values.items() if key not in given]


@pytest.fixture
def follow(tmp_path, stdin, monkeypatch):
    """Follows the guide, giving each call to `run`; returns all calls."""

    def guide(run: Callable[[Call], None]) -> list[Call]:
        checkout = Checkout(tmp_path)
        monkeypatch.chdir(checkout.folder)
        (config,) = (block for block in blocks(DOCUMENT, "python") if block.file)
        Path(config.file).write_text(config.code)
        set_up, text, *rest = (c for c in BASH if OF_LABELS not in c)
        assert set_up.startswith(SET_UP)
        assert (ROOT / SET_UP.split()[1]).is_file()
        assert not checkout.shell(text)
        raw = Path("raw.txt")
        raw.write_text("".join(raw.read_text().splitlines(keepends=True)[:NUM_LINES]))
        calls = []
        for code in rest:
            for call in checkout.shell(code):
                stdin(call.text)
                run(call)
                calls.append(call)
        of_labels = {name for code in BASH if OF_LABELS in code for name in called(code)}
        assert {call.name for call in calls} | of_labels == set(COMMANDS)
        return calls

    return guide


def make(call: Call) -> None:
    assert cli.main([call.name, *call.arguments, *settings(call)]) == 0, call


def test_commands_are_parsed_and_the_text_is_prepared(follow, capsys):
    def run(call: Call) -> None:
        values = cli.parsed_flags(call.name, call.arguments)
        if COMMANDS[call.name].takes_config:
            check_config(values["config"].value)
            assert values["config"].value.data.path == "raw.txt"
        if call.name == "prepare":
            make(call)

    calls = follow(run)
    assert any(call.text.count("\n") == 5 for call in calls)
    numbers = re.findall(r"(\w+): (\d+) sentences", capsys.readouterr().out)
    assert [name for name, _ in numbers] == ["train", "valid", "test"] * (len(numbers) // 3)
    assert sum(int(number) for _, number in numbers[:3]) == NUM_LINES


@pytest.mark.slow
def test_every_command_runs(follow, capsys):
    printed = {}

    def run(call: Call) -> None:
        make(call)
        printed[" ".join([call.name, *call.arguments])] = capsys.readouterr().out

    calls = follow(run)
    assert all(printed.values())
    (twice,) = {" ".join([c.name, *c.arguments]) for c in calls if calls.count(c) == 2}
    assert "runs/my_text/wae_rnf: already trained" in printed[twice]
    runs = Path("runs/my_text")
    for file in ("codes.npz", "plots/curves.png", "wae_rnf/geometry.png", "cap_0.3/results.json"):
        assert (runs / file).stat().st_size > 0


def test_the_road_with_labels_runs(tmp_path, stdin, monkeypatch, capsys):
    """From labelled sentences to a probe and a shifted sentence, in commands and in Python."""
    checkout = Checkout(tmp_path)
    monkeypatch.chdir(checkout.folder)
    printed = {}
    for code in (code for code in BASH if OF_LABELS in code):
        for call in checkout.shell(code):
            stdin(call.text)
            make(call)
            printed[call.name] = capsys.readouterr().out
    assert set(printed) == {"train", "probe", "shift", "encode", "decode", "export"}
    assert "accuracy of labels predicted from codes" in printed["probe"]
    shifted = printed["shift"].splitlines()
    assert shifted[0] == "the good cooks served the soup in the kitchen"
    assert [line.split()[0] for line in shifted[1:]] == ["0", "0.5", "1", "1.5", "2"]
    (python,) = (block.code for block in blocks(DOCUMENT, "python") if not block.file)
    exec(compile(python, DOCUMENT, "exec"), {})
    out = capsys.readouterr().out.splitlines()
    assert 0 <= float(out[0].removeprefix("accuracy ")) <= 1
    assert len(out) == 6
    assert len(python.strip().splitlines()) <= 12


def _keys(section, prefix=""):
    for name, value in section.items():
        yield f"{prefix}{name}"
        if hasattr(value, "items"):
            yield from _keys(value, f"{prefix}{name}.")


def test_every_key_that_it_names_exists():
    keys = set(_keys(default.get_config()))
    sections = "|".join(key for key in keys if "." not in key)
    named = re.findall(rf"`((?:{sections})\.\w+)`", (ROOT / DOCUMENT).read_text())
    assert len(set(named)) > 15
    assert set(named) <= keys


@pytest.mark.parametrize("path", ["docs/guide.md", "docs/extending.md", "README.md"])
def test_every_file_that_it_names_exists(path):
    text = (ROOT / path).read_text()
    here = (ROOT / path).parent
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:configs|tests|launch|wae_rnf_jax)/[\w/]*\.\w+)`", text)
    made = {block.file for block in blocks(path, "python")}
    assert links or named
    assert not [link for link in links if not (here / link).exists()]
    assert not [name for name in named if not (ROOT / name).exists() and name not in made]
