"""Real processes that do not come together, or do not agree: one sentence each, and all end."""

import socket
import subprocess
import sys

import pytest

from tests.training.job import Job, alone, arguments, environment, free_port, said
from wae_rnf_jax import cli
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.jobs.processes import _check_port
from wae_rnf_jax.runs.lock import sole_use


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--num_processes=2"], "--num_processes without --coordinator_address and --process_id"),
        (
            ["--coordinator_address=a:1", "--num_processes=2", "--process_id=2"],
            "--process_id is 2: with --num_processes=2 it must be from 0 to 1",
        ),
        (
            ["--coordinator_address=a", "--num_processes=1", "--process_id=0"],
            "--coordinator_address is 'a': it must be host:port",
        ),
        (["--distributed", "--dry_run"], "--dry_run runs in one process"),
        (["--num_processes=0"], "--num_processes"),
    ],
)
def test_flags_that_name_no_job_are_refused(tmp_path, capsys, flags, message):
    assert cli.main([*arguments(tmp_path / "run", tmp_path), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on port {port} .*name another port"):
            _check_port(f"localhost:{port}")


def test_processes_that_find_no_others_say_so(tmp_path):
    missing = [
        f"--coordinator_address=127.0.0.1:{free_port()}",
        *("--num_processes=2", "--process_id=1", "--join_timeout=1"),
    ]
    cases = {
        "the environment does not describe the job": ["--distributed"],
        "did not meet at 127": missing,
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "wae_rnf_jax", *arguments(tmp_path / "run", tmp_path), *flags],
            env=environment(1),
            stderr=subprocess.PIPE,
            text=True,
        )
        for flags in cases.values()
    ]
    for process, message in zip(started, cases, strict=True):
        _, error = process.communicate(timeout=300)
        assert message in error.splitlines()[-1]
        assert process.returncode == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_that_differ_all_end_with_one_sentence(tmp_path):
    words = [arguments(tmp_path / "run", tmp_path / "cache", train__seed=i) for i in range(2)]
    job = Job(tmp_path, words, changed=({}, {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}))
    ended = job.wait()
    assert [x.code for x in ended] == [2, 2]
    for sentences in map(said, ended):
        assert len(sentences) == 1
        assert "XLA_FLAGS is " in sentences[0]
        assert "config.train.seed is 0 on process 0 and 1 on process 1" in sentences[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_with_other_numbers_of_devices_are_refused(tmp_path):
    words = arguments(tmp_path / "run", tmp_path / "cache")
    ended = Job(tmp_path, (words, words), devices=(2, 1)).wait()
    assert [x.code for x in ended] == [2, 2]
    for sentences in map(said, ended):
        assert "number of devices (2 on process 0, 1 on process 1)" in sentences[0]


@pytest.mark.slow
def test_processes_with_other_data_are_refused(tmp_path):
    words = []
    for i in range(2):
        folder = tmp_path / str(i)
        folder.mkdir()
        for name in ("train", "valid", "test"):
            (folder / f"{name}.txt").write_text("the cat sat\n" * 8 + f"a dog {i}\n")
        settings = {"data__source": "text", "data__path": folder, "data__cache_dir": folder}
        words.append(arguments(tmp_path / "run", tmp_path, **settings))
    ended = Job(tmp_path, words).wait()
    assert [x.code for x in ended] == [2, 2]
    for sentences in map(said, ended):
        assert "the vocabulary is " in sentences[0]
        assert "the fingerprint of the data is " in sentences[0]


@pytest.mark.slow
def test_a_second_run_on_a_workdir_ends_on_all_processes(tmp_path):
    workdir = tmp_path / "run"
    words = arguments(workdir, tmp_path / "cache")
    with sole_use(workdir):
        ended = Job(tmp_path, (words, words)).wait()
        assert alone(words, 1).code == 2
    assert [x.code for x in ended] == [2, 2]
    first, second = (said(x)[-1] for x in ended)  # before it, that one waits for the other's corpus
    assert "is in use by another run" in first
    assert second == f"process 0: {first}"
