"""Two tiny trained runs, made once, which the tests of the commands only add results to."""

import io

import pytest
from command_runs import train_arguments, write_text

from wae_rnf_jax import cli


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def runs(text_folder, tmp_path_factory):
    """Folder of the runs `vae` and `lm`."""
    folder = tmp_path_factory.mktemp("runs")
    for system in ("vae", "lm"):
        assert cli.main(train_arguments(text_folder, folder / system, system)) == 0
    return folder


@pytest.fixture(scope="session")
def workdir(runs):
    """An autoencoder."""
    return runs / "vae"


@pytest.fixture(scope="session")
def lm_workdir(runs):
    """A language model of the same corpus."""
    return runs / "lm"


@pytest.fixture
def stdin(monkeypatch):
    """Sets what standard input holds."""

    def setter(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return setter


@pytest.fixture
def refusal(capsys):
    """Runs a command that must be refused; returns its one sentence."""

    def run(*arguments: str) -> str:
        assert cli.main([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("wae-rnf: ")
        return lines[0]

    return run
