"""Every example that the help shows: each is parsed, and run where a run takes seconds."""

import re
import shlex
import shutil

import numpy as np
import pytest
from command_runs import ROOT

from wae_rnf_jax import cli
from wae_rnf_jax.commands import COMMANDS

TOO_LONG = ("prepare", "train")  # on a whole corpus
EXAMPLES = dict.fromkeys(
    example for command in COMMANDS.values() for example in command.examples
) | dict.fromkeys(cli.EXAMPLES)


def command_line(example: str) -> tuple[str, str, list[str]]:
    """Standard input, command and arguments of an example."""
    words = shlex.split(example)
    text = ""
    if "|" in words:
        printer, text = words[:2]
        assert printer in ("echo", "printf")
        assert words[2] == "|"
        text = text.replace("\\n", "\n")
        words = words[3:]
    assert words[0] == "wae-rnf"
    return text, words[1], words[2:]


def readme_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(("wae-rnf ", "echo "))]


def test_every_command_has_examples_of_its_own():
    for name, command in COMMANDS.items():
        assert command.examples
        assert {command_line(example)[1] for example in command.examples} == {name}


@pytest.mark.parametrize("example", [*EXAMPLES, *readme_commands()])
def test_example_is_parsed(example, monkeypatch):
    monkeypatch.chdir(ROOT)
    text, name, arguments = command_line(example)
    values = cli.parsed_flags(name, arguments)
    assert text.endswith("\n") or not text or "echo" in example
    if "workdir" in values and values["workdir"].value:
        assert values["workdir"].value.startswith("runs/")
    if COMMANDS[name].takes_config:
        assert values["config"].value.train.num_epochs > 0


@pytest.fixture(scope="module")
def checkout(runs, checkout_with_run, tmp_path_factory):
    """A folder with tiny runs, and a file of codes, where the examples' own would be."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(checkout_with_run / "runs" / "reviews", folder / "runs" / "reviews")
    np.savez(folder / "codes.npz", codes=np.zeros((3, 2)))
    for system, name in (("vae", "wae_rnf"), ("lm", "lm")):
        workdir = shutil.copytree(runs / system, folder / "runs" / "grammar" / name)
        arguments = ["--num_samples=2", "--num_generated=0", "--num_reconstructions=0"]
        assert cli.main(["evaluate", f"--workdir={workdir}", *arguments]) == 0
    return folder


@pytest.mark.parametrize(
    "example", [example for example in EXAMPLES if command_line(example)[1] not in TOO_LONG]
)
def test_example_runs(example, checkout, stdin, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    text, name, arguments = command_line(example)
    stdin(text)
    assert cli.main([name, *arguments]) == 0
    assert capsys.readouterr().out
