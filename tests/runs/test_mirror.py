"""What is published of a workdir and fetched again, of checkpoints that nothing trained."""

import json
import os
import shutil
import threading
import time

import pytest
from bucket import install_bucket

from wae_rnf_jax.data.manifest import file_digests
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs import mirror as mirror_module
from wae_rnf_jax.runs.mirror import Mirror
from wae_rnf_jax.runs.remote import (
    local_workdir,
    publish_file,
    published_run,
    training_workdir,
)
from wae_rnf_jax.runs.snapshots import check_snapshot
from wae_rnf_jax.storage.object_store import RemoteError

URL = "gs://bucket/runs/a"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    return install_bucket(tmp_path / "store", tmp_path / "here", monkeypatch)


@pytest.fixture
def remote(bucket):
    """Where the remote workdir lies."""
    return bucket.folder / "bucket" / "runs" / "a"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Calls with the mirrors of another host."""

    def call(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(mirror_module, "DIRECTORY", str(tmp_path / "there"))
            return function(*arguments)

    return call


def train_to(mirror, step, kept=()):
    """What a run leaves at a step."""
    mirror.path.mkdir(parents=True, exist_ok=True)
    if not (mirror.path / "config.json").exists():
        (mirror.path / "config.json").write_text("{}")
    with (mirror.path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "split": "train"}) + "\n")
    (mirror.path / "checkpoints" / ".unfinished").mkdir(parents=True, exist_ok=True)
    folder = mirror.path / "checkpoints" / "latest" / str(step)
    (folder / "state").mkdir(parents=True)
    for name in ("progress", "state/data"):
        (folder / name).write_text(f"{name} {step}")
    manifest = {"run": "r", "files": file_digests(folder, ["progress", "state/data"])}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for old in folder.parent.iterdir():
        if int(old.name) not in (step, *kept):
            shutil.rmtree(old)


def steps(workdir):
    """The checkpoints of a workdir, all of which must be whole."""
    found = sorted((workdir / "checkpoints" / "latest").iterdir(), key=lambda p: int(p.name))
    assert all(check_snapshot(path, run="r") for path in found)
    return [int(path.name) for path in found]


def test_what_is_published_comes_back_as_it_was(bucket, remote, elsewhere):
    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    here.publish()
    train_to(here, 20, kept=(10,))
    here.publish()
    train_to(here, 30, kept=(20,))
    here.publish()
    assert steps(remote) == [20, 30]
    copy = elsewhere(local_workdir, URL)
    assert copy != here.path
    assert steps(copy) == [20, 30]
    assert (copy / "metrics.jsonl").read_bytes() == (here.path / "metrics.jsonl").read_bytes()
    assert sorted(path.name for path in copy.iterdir()) == [
        "checkpoints",
        "config.json",
        "metrics.jsonl",
    ]


def test_manifests_are_written_last_and_what_is_old_goes_after_them(bucket, remote, monkeypatch):
    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    here.publish()
    train_to(here, 20)
    written, whole = [], []

    def note(name):
        written.append(name.removeprefix("bucket/runs/a/"))
        whole.append([p.parent.name for p in sorted(remote.rglob("manifest.json"))])

    monkeypatch.setattr(bucket, "on_write", staticmethod(note))
    here.publish()
    folder = "checkpoints/latest/20"
    assert written == [
        "metrics.jsonl",
        f"{folder}/progress",
        f"{folder}/state/data",
        f"{folder}/manifest.json",
        "published.json",
    ]
    assert whole == [["10"]] * 4 + [["10", "20"]]  # before each file
    assert steps(remote) == [20]
    here.publish()
    assert len(written) == 5  # nothing has changed


class Killed(BaseException):
    pass


@pytest.mark.parametrize("file", ["progress", "manifest.json", "published.json"])
def test_a_publication_cut_short_leaves_what_was_there_and_is_done_again(
    bucket, remote, elsewhere, monkeypatch, file
):
    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    here.publish()
    train_to(here, 20)

    def killed(name):
        if name.endswith(file):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(bucket, "on_write", staticmethod(killed))
        with pytest.raises(Killed):
            here.publish()
    whole = [10] if file != "published.json" else [10, 20]
    assert steps(elsewhere(local_workdir, URL)) == whole
    again = Mirror(URL)  # the next start, in the same place
    again.bring_up()
    assert steps(again.path) == [20]
    again.publish()
    assert steps(remote) == [20]
    assert steps(elsewhere(local_workdir, URL)) == [20]


def test_a_mirror_that_fell_behind_is_fetched_again_and_one_of_its_own_is_kept(
    bucket, remote, elsewhere, capsys
):
    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    here.publish()

    def go_on():
        there = Mirror(URL)
        there.base.mkdir(parents=True, exist_ok=True)
        there.bring_up()
        train_to(there, steps(there.path)[-1] + 10)
        there.publish()

    elsewhere(go_on)
    here.bring_up()
    assert steps(here.path) == [20]
    assert capsys.readouterr().err == ""
    train_to(here, 25)  # and is not published
    elsewhere(go_on)
    here.bring_up()
    assert steps(here.path) == [30]
    (aside,) = here.base.glob("a.unpublished-*")
    assert steps(aside) == [25]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"has checkpoints of its own and is kept in {aside}" in said


def test_a_remote_workdir_that_was_removed_begins_anew(bucket, remote):
    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    here.publish()
    shutil.rmtree(remote)
    here.bring_up()
    assert not here.path.exists()


def test_a_mirror_that_was_never_published_is_kept(bucket, monkeypatch):
    def out(name):
        raise OSError("the store is out")

    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    with monkeypatch.context() as patch:
        patch.setattr(bucket, "on_write", staticmethod(out))
        with pytest.raises(RemoteError, match=r"gs://bucket/runs/a cannot be written .*is out"):
            here.publish()
    again = Mirror(URL)
    again.bring_up()
    assert steps(again.path) == [10]


def test_a_workdir_copied_there_by_hand_is_read(bucket, remote):
    remote.mkdir(parents=True)
    (remote / "config.json").write_text('{"a": 1}')
    assert (local_workdir(URL) / "config.json").read_text() == '{"a": 1}'
    (remote / "config.json").write_text('{"a": 2}')
    assert (local_workdir(f"{URL}/") / "config.json").read_text() == '{"a": 2}'


def test_results_go_to_the_remote_workdir_and_come_from_it(bucket, remote, elsewhere):
    here = Mirror(URL)
    here.base.mkdir(parents=True)
    train_to(here, 10)
    here.publish()
    there = elsewhere(local_workdir, URL)
    (there / "results.json").write_text("metrics")
    assert publish_file(URL, there / "results.json") == f"{URL}/results.json"
    assert (local_workdir(URL) / "results.json").read_text() == "metrics"
    assert steps(local_workdir(URL)) == [10]


def test_results_that_cannot_be_published_are_kept_beside_the_older_ones(
    bucket, remote, monkeypatch
):
    def full(name):
        raise OSError(28, "No space left on device")

    mirror = Mirror(URL)
    mirror.base.mkdir(parents=True)
    train_to(mirror, 10)
    mirror.publish()
    (remote / "results.json").write_text("older")
    (mirror.path / "results.json").write_text("newer")
    with monkeypatch.context() as patch:
        patch.setattr(bucket, "on_write", staticmethod(full))
        with pytest.raises(InputError, match=r"is kept in \S+/a/results\.unpublished\.json$"):
            publish_file(URL, mirror.path / "results.json")
    workdir = local_workdir(URL)
    assert (workdir / "results.json").read_text() == "older"
    assert (workdir / "results.unpublished.json").read_text() == "newer"


def test_a_second_reader_waits_and_says_for_whom(bucket, remote, capsys):
    remote.mkdir(parents=True)
    (remote / "config.json").write_text("{}")
    first, found = Mirror(URL), []
    reader = threading.Thread(target=lambda: found.append(local_workdir(URL)))
    with first.alone():
        reader.start()
        while not (said := capsys.readouterr().err):
            time.sleep(0.01)
        assert found == []
    reader.join()
    assert found == [first.path]
    assert f"process {os.getpid()} on host" in said
    assert f"is fetching {URL}: waiting for it to finish" in said


def test_an_absent_run_and_a_store_that_fails_are_bad_input(bucket, monkeypatch):
    with pytest.raises(InputError, match=f"--init_from: {URL} holds no run"):
        local_workdir(URL, "init_from")

    def out(self, *arguments, **options):
        raise OSError("the store is out")

    monkeypatch.setattr(bucket, "_open", out)
    with pytest.raises(InputError, match=f"--workdir: {URL} cannot be read .*the store is out"):
        local_workdir(URL)


@pytest.mark.parametrize("name", ["http://a/b", "hf://datasets/a", "gs:///"])
def test_other_urls_are_refused(name):
    for use in (local_workdir, training_workdir, lambda name: published_run(name).__enter__()):
        with pytest.raises(InputError, match=f"^--workdir: {name} is not a usable folder"):
            use(name)


def test_another_store_that_fails_while_a_run_trains_is_not_its_workdir(bucket):
    with pytest.raises(InputError, match=r"^gs://text cannot be read"), published_run(URL):
        raise RemoteError("gs://text cannot be read: no")
