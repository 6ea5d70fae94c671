"""What is caused from outside is one sentence; an error of the program's keeps its traceback."""

import os
import pwd
import shutil
import subprocess
import sys
import threading

import pytest
from command_runs import ROOT, train_arguments
from jax.errors import JaxRuntimeError

from wae_rnf_jax import cli
from wae_rnf_jax.commands import COMMANDS, failures

ENCODE = "evaluation.latent_space.encode_sentences"


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "wae_rnf_jax", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def raising(monkeypatch):
    """Lets a function of the package raise an error."""

    def setter(function, error):
        def raises(*args, **kwargs):
            raise error

        monkeypatch.setattr(f"wae_rnf_jax.{function}", raises)

    return setter


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home directory, as in some containers."""

    def no_entry(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)


@pytest.mark.parametrize("platform", ["cuda", "no_such_thing"])
def test_an_accelerator_that_is_not_there(platform, workdir):
    for command in ("info", "sample"):
        found = run(command, f"--workdir={workdir}", JAX_PLATFORMS=platform)
        assert found.returncode == 2
        assert found.stderr.splitlines()[-1].startswith(
            f"wae-rnf: JAX finds no device for JAX_PLATFORMS={platform}"
        )
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9.31 GiB for an array"),
        JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9999999999 bytes.\nMore"),
    ],
    ids=["numpy", "jax"],
)
def test_where_memory_runs_out_the_flag_that_lowers_it_is_named(
    error, workdir, raising, stdin, tmp_path, refusal
):
    stdin("the cat sat\n")
    raising(ENCODE, error)
    said = refusal("encode", f"--workdir={workdir}", f"--output={tmp_path}/codes.npz")
    assert said.startswith("wae-rnf: out of memory (")
    assert said.endswith("): lower --batch_size")
    assert not list(tmp_path.iterdir())


def test_every_command_says_what_takes_less_memory_by_flags_that_it_has(refusal):
    for name, command in COMMANDS.items():
        values = cli._defined_flags(command, [])
        for word in command.takes_less.replace(",", " ").split():
            if word.startswith("--config."):
                assert command.takes_config
            elif word.startswith("--"):
                assert word.removeprefix("--") in values, name


def test_an_error_of_the_program_keeps_its_traceback_and_says_where_to_report_it(
    workdir, raising, stdin, tmp_path
):
    for error in (ZeroDivisionError("division by zero"), RuntimeError("no memory of it")):
        stdin("the cat sat\n")
        raising(ENCODE, error)
        with pytest.raises(type(error)) as caught:
            cli.main(["encode", f"--workdir={workdir}", f"--output={tmp_path}/codes.npz"])
        assert caught.value.__notes__ == [failures.report_request()]
        assert "please report it" in failures.report_request()


def test_the_address_is_that_of_the_package(monkeypatch):
    class About(dict):
        def get_all(self, name):
            return ["Homepage, https://a.example", "Issues, https://b.example/issues"]

    monkeypatch.setattr(failures, "metadata", lambda name: About(Version="9.8"))
    assert "9.8: please report it at https://b.example/issues, " in failures.report_request()


def test_without_a_home_directory_places_in_it_are_refused(
    homeless, refusal, text_folder, tmp_path
):
    arguments = train_arguments(text_folder, tmp_path / "run", **{"data.cache_dir": "~/cache"})
    said = refusal(*arguments)
    assert said == (
        "wae-rnf: --config.data.cache_dir: ~/cache is in the home directory, but HOME is not set: "
        "set it, or name another folder"
    )
    assert "--workdir: ~/runs is in the home directory, but HOME" in refusal(
        "info", "--workdir=~/runs"
    )
    assert not os.path.exists("~")


@pytest.mark.usefixtures("homeless")
def test_without_a_home_directory_a_run_elsewhere_is_used(workdir, tmp_path, capsys, monkeypatch):
    copied = shutil.copytree(workdir, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    assert "compiled programs are not cached" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_training_in_another_thread_takes_no_signals(text_folder, tmp_path, capsys):
    arguments = train_arguments(text_folder, tmp_path / "run", **{"train.num_epochs": 1})
    codes = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(arguments)))
    thread.start()
    thread.join()
    assert codes == [0]
    assert (tmp_path / "run" / "checkpoints" / "latest").is_dir()
