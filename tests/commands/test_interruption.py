"""Signals and streams: Ctrl-C, SIGTERM, pipes that close, a standard input or output that is not.

Whatever is interrupted, there is one line on standard error, no traceback, nothing half written.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from command_runs import ROOT, train_arguments

from tests.runs.test_sinks import files_of_at_most
from wae_rnf_jax import cli

# A moment: the function that a signal falls into, and a command that calls it.
MOMENTS = {
    "reading the configuration": ("cli.loaded_config", "prepare"),
    "counting words": ("data.preparation.counted_words", "prepare"),
    "encoding a corpus": ("data.preparation._write_split", "prepare"),
    "making a workdir": ("training.loop.open_workdir", "train"),
    "building a model": ("training.loop.initial_state", "train"),
    "opening a run": ("runs.trained_model.restored_model", "sample"),
    "sampling": ("evaluation.latent_space.prior_sentences", "sample"),
    "evaluating": ("evaluation.likelihood.evaluate_split", "evaluate"),
    "writing codes": ("evaluation.latent_space.encode_sentences", "encode"),
    "drawing": (None, "plot"),
}
CODES = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


@pytest.fixture(autouse=True)
def keyboard_interrupts():
    """A test process of pytest-xdist ignores SIGINT, as one begun in the background does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupting(signum):
    def function(*args, **kwargs):
        os.kill(os.getpid(), signum)
        time.sleep(5)  # the signal ends it at once

    return function


@pytest.fixture
def commands(workdir, text_folder, tmp_path):
    """Command lines whose files all lie in tmp_path, but for the run that they read."""
    training = train_arguments(text_folder, tmp_path / "run", **{"data.cache_dir": tmp_path / "c"})
    (tmp_path / "in.txt").write_text("the cat sat\n")
    (tmp_path / "codes.npz").write_text("an older file")
    run = f"--workdir={workdir}"
    return {
        "prepare": ["prepare", *(part for part in training[1:] if "workdir" not in part)],
        "train": training,
        "sample": ["sample", run],
        "evaluate": ["evaluate", run, "--num_samples=1"],
        "encode": ["encode", run, f"--input={tmp_path}/in.txt", f"--output={tmp_path}/codes.npz"],
        "plot": ["plot", str(workdir), f"--output={tmp_path}/plots"],
    }


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_half(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("signum", CODES, ids=lambda signum: signum.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupted_at_any_moment_nothing_is_half_written(
    moment, signum, commands, workdir, tmp_path, monkeypatch, capsys
):
    name, command = MOMENTS[moment]
    target = f"wae_rnf_jax.{name}" if name else "matplotlib.figure.Figure.savefig"
    monkeypatch.setattr(target, interrupting(signum))
    before, handler = files_of(workdir), signal.getsignal(signal.SIGTERM)
    code, word = CODES[signum]
    assert cli.main(commands[command]) == code
    assert capsys.readouterr().err.splitlines()[-1] == f"wae-rnf: {word}"
    assert files_of(workdir) == before
    assert left_half(tmp_path) == []
    assert (tmp_path / "codes.npz").read_text() == "an older file"
    assert signal.getsignal(signal.SIGTERM) is handler


class Dropping:
    """Python drops what is raised while one of these is destroyed."""

    def __init__(self, signum):
        self.signum = signum

    def __del__(self):
        os.kill(os.getpid(), self.signum)
        time.sleep(0.01)


@pytest.mark.parametrize("signum", CODES, ids=lambda signum: signum.name)
def test_a_signal_in_a_destructor_is_not_lost(signum, commands, monkeypatch, capsys):
    def function(*args, **kwargs):
        Dropping(signum)
        time.sleep(0.1)

    monkeypatch.setattr("wae_rnf_jax.cli.loaded_config", function)
    code, word = CODES[signum]
    assert cli.main(commands["prepare"]) == code
    assert capsys.readouterr().err == f"wae-rnf: {word}\n"


def test_the_same_command_works_after_an_interruption(commands, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("wae_rnf_jax.data.preparation._write_split", interrupting(signal.SIGINT))
        assert cli.main(commands["prepare"]) == 130
    assert cli.main(commands["prepare"]) == 0
    assert "train: 40 sentences" in capsys.readouterr().out


@pytest.fixture
def closed_pipe(monkeypatch):
    """Standard output is a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:  # closing it writes what it still holds
        monkeypatch.setattr(sys, "stdout", output)
        yield


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["info"]], ids=" ".join)
def test_a_reader_that_leaves_is_no_error(command, workdir, closed_pipe, capsys):
    arguments = [*command, f"--workdir={workdir}"] if command == ["info"] else command
    assert cli.main(arguments) == 0
    assert capsys.readouterr().err == ""


def test_a_full_disk_under_the_output_is_said(tmp_path, monkeypatch, capsys):
    with open(tmp_path / "out", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with files_of_at_most(10):
            assert cli.main(["--help"]) == 2
    said = "wae-rnf: cannot write to standard output or to a file: File too large\n"
    assert capsys.readouterr().err == said


def test_a_closed_standard_input_is_said(workdir, monkeypatch, refusal):
    monkeypatch.setattr(sys, "stdin", None)
    said = refusal("reconstruct", f"--workdir={workdir}")
    assert "--input: standard input is closed: name a file" in said


def test_without_a_standard_output_the_work_is_done(workdir, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["info", f"--workdir={workdir}"]) == 0
    assert capsys.readouterr().err == ""


def shell(script, **variables):
    """Runs a script with $WAE_RNF as the program."""
    program = f"{sys.executable} -m wae_rnf_jax"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "WAE_RNF": program, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_streams_of_a_shell(workdir):
    left = shell("$WAE_RNF --help | true; echo ${PIPESTATUS[0]}; $WAE_RNF >&- 2>&-; echo $?")
    assert (left.stdout.split(), left.stderr) == (["0", "2"], "")
    closed = shell("$WAE_RNF reconstruct --workdir=$RUN <&-", RUN=str(workdir))
    assert closed.returncode == 2
    assert len(closed.stderr.splitlines()) == 1
    assert "standard input is closed" in closed.stderr


BEGUN = """
import os, signal, sys

class Interrupter:
    def find_spec(self, name, *rest):
        if name == os.environ["MODULE"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
sys.stdout.write("begun\\n")
sys.stdout.flush()
from wae_rnf_jax.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["ml_collections", "jax._src.core"])
def test_interrupted_while_it_starts_it_stops_at_once(module, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BEGUN, "sample", f"--workdir={tmp_path}"],
        env={**os.environ, "MODULE": module},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "wae-rnf: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("signum", CODES, ids=lambda signum: signum.name)
@pytest.mark.parametrize("command", ["prepare", "sample", "evaluate", "encode"])
def test_interrupted_at_random_moments(command, signum, commands, workdir, tmp_path):
    """From the first import to the last line; what came to its end before the signal may."""
    delays, before = random.Random(command), files_of(workdir)
    code, word = CODES[signum]
    codes = []
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", BEGUN, *commands[command]],
            env={**os.environ, "MODULE": "none", "JAX_NUM_CPU_DEVICES": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(delays.uniform(0, 8))
        process.send_signal(signum)
        _, errors = process.communicate(timeout=600)
        codes.append(process.returncode)
        assert "Traceback" not in errors
        assert "Error" not in errors
        assert left_half(tmp_path) == []
        if process.returncode == code:
            assert errors.splitlines()[-1] == f"wae-rnf: {word}"
            assert files_of(workdir) == before
    assert set(codes) <= {0, code, -signum}
    assert code in codes
