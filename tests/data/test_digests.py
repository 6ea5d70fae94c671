"""Digests of files: those of large ones are remembered until the file changes."""

import hashlib
import json
import os

import pytest

from wae_rnf_jax.data import digests
from wae_rnf_jax.data.digests import file_digest
from wae_rnf_jax.errors import InputError


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "LARGE", 4)
    path = tmp_path / "file"
    path.write_bytes(b"large")
    os.utime(path, (1e9, 1e9))
    return path


def test_a_large_file_is_read_once(file, tmp_path, monkeypatch):
    memory = tmp_path / "memory"
    assert file_digest(file, memory=memory) == sha256(b"large")
    monkeypatch.setattr(digests, "_digest", None)
    assert file_digest(file, memory=memory) == sha256(b"large")


def test_a_changed_file_is_read_again(file, tmp_path):
    memory = tmp_path / "memory"
    file_digest(file, memory=memory)
    file.write_bytes(b"LARGE")
    assert file_digest(file, memory=memory) == sha256(b"LARGE")


def test_one_that_has_just_changed_is_not_remembered(file, tmp_path):
    memory = tmp_path / "memory"
    os.utime(file)
    file_digest(file, memory=memory)
    assert not memory.exists()


def test_a_lost_memory_does_no_harm(file, tmp_path):
    memory = tmp_path / "memory"
    file_digest(file, memory=memory)
    (note,) = memory.iterdir()
    assert json.loads(note.read_text())["file"] == str(file)
    note.write_text("{")
    assert file_digest(file, memory=memory) == sha256(b"large")
    assert file_digest(file, memory=tmp_path / "file" / "nowhere") == sha256(b"large")


def test_small_files_leave_no_note(file, tmp_path):
    file.write_bytes(b"abc")
    assert file_digest(file, memory=tmp_path / "memory") == sha256(b"abc")
    assert not (tmp_path / "memory").exists()


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none: No such file"):
        file_digest(tmp_path / "none", memory=tmp_path)
