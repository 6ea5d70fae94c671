import os
import stat

import pytest

from wae_rnf_jax.evaluation.files import new_file


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
