"""The lease on a remote workdir: held, refused, run out, lost."""

import json
import time

import pytest
from bucket import install_bucket

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.lease import Lease
from wae_rnf_jax.storage.object_store import RemoteFolder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    install_bucket(tmp_path / "store", tmp_path / "here", monkeypatch)
    return RemoteFolder("gs://bucket/run")


def dead_lease(folder, identity):
    content = {"id": identity, "owner": "process 7 on host h", "beat": 3}
    folder.write("lease.json", json.dumps(content).encode())


def test_a_living_run_keeps_others_out_and_leaves_nothing(folder):
    with Lease(folder, "a") as held:
        with pytest.raises(InputError, match=r"run is in use by another run, process \d+ on host"):
            Lease(folder, "b").__enter__()
        assert held.still_held()
    assert folder.read("lease.json") is None
    with Lease(folder, "b"):
        pass


def test_a_dead_run_is_waited_for_and_replaced(folder, capsys):
    dead_lease(folder, "a")
    begun = time.monotonic()
    with Lease(folder, "b"):
        assert time.monotonic() - begun > 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert (
        "was in use by another run, process 7 on host h: waiting 1 s for a sign of life" in said[0]
    )
    assert "process 7 on host h gave no sign of life" in said[1]


def test_a_run_that_died_on_the_same_copy_is_replaced_at_once(folder, capsys):
    dead_lease(folder, "a")
    with Lease(folder, "a"):
        assert capsys.readouterr().err == ""


def test_a_run_whose_place_was_taken_knows_it_and_leaves_the_other_alone(folder):
    with Lease(folder, "a") as held:
        held._ending.set()  # cut off from the store
        held._thread.join()
        dead_lease(folder, "b")
        assert not held.still_held()
    assert json.loads(folder.read("lease.json"))["id"] == "b"


def test_of_two_that_begin_together_the_one_that_is_overwritten_withdraws(folder, monkeypatch):
    write = Lease._write

    def write_and_be_overwritten(self):
        write(self)
        dead_lease(folder, "b")

    monkeypatch.setattr(Lease, "_write", write_and_be_overwritten)
    with pytest.raises(InputError, match="in use by another run, process 7 on host h"):
        Lease(folder, "a").__enter__()
