"""Checkpoints in folders of any name, and errors in few words."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from wae_rnf_jax.runs import orbax

STATE = {"w": np.arange(300.0), "step": np.array(3), "none": None, "empty": (), "pair": (None, {})}
# What Orbax, etils or TensorStore would read something else into, and some that they do not.
NAMES = [
    "a[3]",
    "[!a]",
    "a*",
    "a?",
    "a**b",
    "a\\b",
    "gs:",
    "a#b",
    "a%20b",
    "a|b",
    "a{b}",
    "a\nb",
    "lr=0.1,a@b",
    "日本é",
    os.fsdecode(b"a\xff"),
]


def save(folder: Path, number: int) -> Path:
    folder.mkdir(exist_ok=True)
    orbax.save(folder / "best", {**STATE, "w": STATE["w"] * number}, {"number": number})
    return folder / "best"


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_checkpoint_comes_back_from_a_folder_of_any_name(tmp_path, name):
    others = {save(tmp_path / other, number): number for number, other in enumerate(("a3", "ab"))}
    try:
        (tmp_path / name).mkdir()
    except OSError:
        pytest.skip("the file system has no such names")
    own = save(tmp_path / name, 7)
    for path, number in {**others, own: 7}.items():
        state, progress = orbax.restored(path)
        assert progress == {"number": number}
        np.testing.assert_array_equal(state["w"], STATE["w"] * number)
        assert type(state["w"]) is np.ndarray
        shutil.rmtree(path)
        assert list(path.parent.iterdir()) == []


def test_a_path_that_begins_like_a_store_is_one_of_this_machine(tmp_path):
    for folder in (Path("/gs/a"), Path("/s3"), Path("/hf/a/b")):
        with orbax._plain(folder) as path:
            assert os.readlink(path) == str(folder)
    with orbax._plain(tmp_path) as path:
        assert path == tmp_path


def test_a_temporary_folder_of_such_a_name_will_do(tmp_path, monkeypatch):
    (tmp_path / "tmp[3]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp[3]"))
    np.testing.assert_array_equal(orbax.restored(save(tmp_path / "a*", 1))[0]["w"], STATE["w"])


def test_what_is_wrong_is_said_of_the_folder_as_it_was_named(tmp_path):
    folder = tmp_path / "a[3]"
    (folder / "best").mkdir(parents=True)
    with pytest.raises(OSError, match=r"^[^\n]+$") as error:
        orbax.restored(folder / "best")
    assert "link" not in str(error.value)
