"""Files made whole; folders made whole by one process at a time: waiting, kills, leftovers."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.files import new_directory, new_file, remove_unfinished

MAKER = """
import pathlib, sys
from wae_rnf_jax.storage.files import new_directory
with new_directory(pathlib.Path(sys.argv[1])) as folder:
    (folder / "file").write_text("of the maker")
    print("making", flush=True)
    sys.stdin.read()
"""


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.bin"
    with new_file(path) as file:
        file.write(b"1234")
        assert not path.exists()
    assert path.read_bytes() == b"1234"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted():
        with new_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_killed_writers_left_is_removed_by_name(tmp_path):
    gone = [".a[1].json.0123abcd.unfinished", ".a[1].json.unfinished"]
    kept = ["a[1].json", ".a1.json.0123abcd.unfinished", ".b.json.0123abcd.unfinished"]
    for name in (*gone, *kept):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, ["a[1].json", "c.json"])
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


@pytest.fixture
def maker(tmp_path):
    """Starts a process that makes `tmp_path/NAME` until its standard input closes."""
    processes = []

    def start(name: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", MAKER, str(tmp_path / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "making\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_the_second_waits_says_for_whom_and_finds_it_made(tmp_path, maker, capsys):
    process = maker("corpus")
    found = []

    def second():
        with new_directory(tmp_path / "corpus") as folder:
            found.append(folder)

    thread = threading.Thread(target=second)
    thread.start()
    time.sleep(0.3)
    assert found == []
    process.stdin.close()
    thread.join(30)
    assert found == [None]
    assert (tmp_path / "corpus" / "file").read_text() == "of the maker"
    said = capsys.readouterr().err
    assert f"process {process.pid} on host" in said
    assert f"is preparing {tmp_path / 'corpus'}: waiting for it to finish" in said
    assert os.listdir(tmp_path) == ["corpus"]


@pytest.mark.parametrize("name", ["corpus", "another"])
def test_a_killed_maker_blocks_nobody_and_the_next_removes_what_it_left(tmp_path, maker, name):
    process = maker("corpus")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(os.listdir(tmp_path)) == 2  # its folder and its lock
    with new_directory(tmp_path / name) as folder:
        assert list(folder.iterdir()) == []
    assert os.listdir(tmp_path) == [name]


def test_a_living_maker_keeps_its_folder(tmp_path, maker):
    process = maker("corpus")
    with new_directory(tmp_path / "another"):
        pass
    process.stdin.close()
    assert process.wait(30) == 0
    assert sorted(os.listdir(tmp_path)) == ["another", "corpus"]


def test_an_error_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "file").write_text("")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "corpus") as folder:
        fail(folder)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told(tmp_path):
    with (
        pytest.raises(InputError, match=r"cannot write .*corpus: No space left"),
        new_directory(tmp_path / "corpus"),
    ):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_where_locks_do_not_reach_the_first_one_made_stays(tmp_path):
    with new_directory(tmp_path / "corpus") as folder:
        (folder / "file").write_text("of the second")
        (tmp_path / "corpus").mkdir()
        (tmp_path / "corpus" / "file").write_text("of the first")
    assert (tmp_path / "corpus" / "file").read_text() == "of the first"
    assert os.listdir(tmp_path) == ["corpus"]


def test_without_locks_it_is_made_and_that_is_said(tmp_path, monkeypatch, capsys):
    def refuse(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".preparing-another-12345678").mkdir()  # perhaps of a living process
    with new_directory(tmp_path / "corpus"):
        pass
    assert sorted(os.listdir(tmp_path)) == [".preparing-another-12345678", "corpus"]
    assert "without locks (Operation not supported)" in capsys.readouterr().err
