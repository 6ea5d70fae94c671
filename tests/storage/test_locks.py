"""The lock on a file: its holder is named, waited for or not; some file systems have no locks."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading

import pytest

from wae_rnf_jax.storage.locks import Locked, is_locked, lock

HERE = f"process {os.getpid()} on host {socket.gethostname()}"


def failing_flock(number, monkeypatch):
    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_second_holder_is_told_who_the_first_is(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    with lock(path) as held:
        assert held
        assert is_locked(path)
        for _ in range(2):  # being refused once gives no hold on it
            with pytest.raises(Locked, match=f"^{HERE}$"), lock(path):
                pytest.fail("two had it")
    assert not is_locked(path)
    with lock(path):
        assert path.read_text() == f"{os.getpid()} on host {socket.gethostname()}\n"


def test_what_an_earlier_holder_left_does_not_block_and_is_replaced(tmp_path):
    path = tmp_path / "lock"
    path.write_text("1234567 on host of-a-much-longer-name-than-this-one-has\n" * 3)
    with lock(path):
        assert path.read_text() == f"{os.getpid()} on host {socket.gethostname()}\n"


def test_the_second_waits_says_for_whom_and_locks_no_file_that_was_removed(tmp_path):
    path, said, held = tmp_path / "lock", [], []
    waits = threading.Event()

    def waiting(holder):
        said.append(holder)
        waits.set()

    def second():
        with lock(path, waiting=waiting):
            held.append(is_locked(path))

    thread = threading.Thread(target=second)
    with lock(path, remove=True):
        thread.start()
        assert waits.wait(30)
        assert held == []
    thread.join(30)
    assert held == [True]
    assert said == [HERE]
    assert path.exists()


def test_a_program_that_the_holder_started_does_not_keep_the_lock(tmp_path):
    program = [sys.executable, "-c", "print('begun', flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "close_fds": False}
    with lock(tmp_path / "lock"):
        child = subprocess.Popen(program, **pipes)
        assert child.stdout.readline() == b"begun\n"
    try:
        assert not is_locked(tmp_path / "lock")
    finally:
        child.communicate(b"\n")


def test_nfs_says_in_its_own_way_that_another_host_has_the_lock(tmp_path, monkeypatch):
    (tmp_path / "lock").write_text("7 on host h\nand more\n")
    failing_flock(errno.EACCES, monkeypatch)
    assert is_locked(tmp_path / "lock")
    with pytest.raises(Locked, match=r"^process 7 on host h$"), lock(tmp_path / "lock"):
        pytest.fail("two had it")
    (tmp_path / "lock").write_bytes(b"")
    with pytest.raises(Locked, match=r"^process \(unknown\)$"), lock(tmp_path / "lock"):
        pytest.fail("two had it")


def test_a_file_system_without_locks_is_said_and_stops_nothing(tmp_path, monkeypatch, capsys):
    failing_flock(errno.ENOLCK, monkeypatch)
    assert not is_locked(tmp_path / "lock")
    with lock(tmp_path / "lock", unlocked="mind it") as held:
        assert not held
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{tmp_path} is on a file system without locks (No locks available): mind it" in said
