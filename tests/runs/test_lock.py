"""The workdir's lock, in the words of the command."""

import os
import socket

import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.lock import is_held, sole_use


def test_a_second_run_is_told_who_the_first_is(tmp_path):
    workdir = tmp_path / "runs" / "a"
    holder = f"process {os.getpid()} on host {socket.gethostname()}: wait"
    assert not is_held(workdir)
    with sole_use(workdir):
        assert is_held(workdir)
        with pytest.raises(InputError, match=holder) as refusal, sole_use(workdir):
            pytest.fail("two had it")
        assert f"{workdir} is in use by another run" in str(refusal.value)
    with sole_use(workdir):
        assert (workdir / "lock").read_text().startswith(f"{os.getpid()} on host")


def test_a_workdir_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").touch()
    refused = r"file/run cannot be written \(Not a directory\)"
    with pytest.raises(InputError, match=refused), sole_use(tmp_path / "file" / "run"):
        pytest.fail("there is no such folder")


def test_what_goes_wrong_in_a_run_is_not_taken_for_the_lock(tmp_path):
    with pytest.raises(OSError, match="of the run"), sole_use(tmp_path):
        raise OSError("of the run")
