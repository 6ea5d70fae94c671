"""The workdir's lock: who holds it is named, and it needs a file system that has locks."""

import errno
import fcntl
import os
import socket

import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.lock import sole_use


def test_a_second_user_is_told_who_the_first_is(tmp_path):
    workdir = tmp_path / "runs" / "a"
    holder = f"process {os.getpid()} on host {socket.gethostname()}: wait"
    with sole_use(workdir):
        for _ in range(2):  # being refused once gives no hold on it
            with pytest.raises(InputError, match=holder) as refusal, sole_use(workdir):
                pytest.fail("two had it")
            assert f"{workdir} is in use by another run" in str(refusal.value)
    with sole_use(workdir):
        assert (workdir / "lock").read_text().startswith(f"{os.getpid()} on host")


def test_what_an_earlier_holder_left_does_not_block_and_is_replaced(tmp_path):
    (tmp_path / "lock").write_text("1234567 on host of-a-much-longer-name-than-this-one-has\n" * 3)
    with sole_use(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()} on host {socket.gethostname()}\n"


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, capsys):
    def no_locks(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with sole_use(tmp_path):
        said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "file system without locks (No locks available)" in said


def test_a_workdir_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").touch()
    refused = r"file/run cannot be written \(Not a directory\)"
    with pytest.raises(InputError, match=refused), sole_use(tmp_path / "file" / "run"):
        pytest.fail("there is no such folder")
