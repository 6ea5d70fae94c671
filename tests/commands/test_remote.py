"""Commands on a workdir on gs://: resumed without the local copy, and used from afar."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from bucket import install_bucket
from command_runs import train_arguments

from wae_rnf_jax import cli
from wae_rnf_jax.runs import mirror as mirror_module
from wae_rnf_jax.runs.checkpoint import Checkpoints
from wae_rnf_jax.runs.snapshots import read_snapshot
from wae_rnf_jax.runs.workdir import fingerprint, read_config

URL = "gs://bucket/vae"
LAST = 10  # steps of the runs
SAVES = {"train.checkpoint_every": 3}


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    return install_bucket(tmp_path / "store", tmp_path / "here", monkeypatch)


@pytest.fixture
def remote(bucket):
    return bucket.folder / "bucket" / "vae"


def signal_at(step, monkeypatch):
    """Sends this process SIGTERM when the step is saved."""
    save = Checkpoints.save

    def and_signal(self, state, *arguments, **options):
        save(self, state, *arguments, **options)
        if int(state.step) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Checkpoints, "save", and_signal)


def assert_same_state(workdir, other):
    states = [
        read_snapshot(
            (folder / "checkpoints" / "latest" / str(LAST)).absolute(),
            run=fingerprint(read_config(folder)),
        )
        for folder in (workdir, other)
    ]
    jax.tree.map(np.testing.assert_array_equal, states[0][0], states[1][0])
    assert states[0][1] == states[1][1]


def test_the_card_of_a_remote_model_has_its_new_metrics(workdir, tmp_path, bucket, remote):
    assert cli.main(["export", f"--workdir={workdir}", f"--output={tmp_path / 'model'}"]) == 0
    shutil.copytree(tmp_path / "model", remote)
    few = ["--num_samples=2", "--num_generated=0", "--num_reconstructions=0"]
    assert cli.main(["evaluate", f"--workdir={URL}", *few]) == 0
    metrics = json.loads((remote / "results.json").read_text())["metrics"]
    assert f"S = 2 draws: `nll_iw` {metrics['nll_iw']:.4g}" in (remote / "README.md").read_text()


def test_a_run_goes_on_from_the_remote_workdir_alone_as_if_never_stopped(
    text_folder, workdir, tmp_path, bucket, remote, monkeypatch, capsys
):
    arguments = train_arguments(text_folder, URL, **SAVES)
    with monkeypatch.context() as patch:
        signal_at(3, patch)
        assert cli.main([*arguments, "--stop_code=75"]) == 75
    assert "stopped and saved at step 4 of 10" in capsys.readouterr().err
    assert sorted(os.listdir(remote / "checkpoints" / "latest")) == ["3", "4"]
    assert not (remote / "lease.json").exists()
    shutil.rmtree(tmp_path / "here")
    assert cli.main(arguments) == 0
    assert_same_state(remote, workdir)
    rows = map(json.loads, (remote / "metrics.jsonl").read_text().splitlines())
    measured = [(row["split"], row["step"]) for row in rows]
    assert {("train", LAST), ("valid", 5), ("valid", LAST)} <= set(measured)
    assert len(measured) == len(set(measured))

    shutil.rmtree(tmp_path / "here")
    capsys.readouterr()
    evaluate = ["evaluate", f"--workdir={URL}", "--num_samples=2", "--num_generated=0"]
    assert cli.main([*evaluate, "--num_reconstructions=0"]) == 0
    assert f"written to {URL}/results.json" in capsys.readouterr().out
    assert (remote / "results.json").exists()
    monkeypatch.setattr(mirror_module, "DIRECTORY", str(tmp_path / "there"))
    assert cli.main(["info", f"--workdir={URL}"]) == 0
    assert "step 10 of 10" in capsys.readouterr().out
    assert cli.main(["compare", URL, "--format=json"]) == 0
    assert f'"workdir": "{URL}"' in capsys.readouterr().out


@pytest.mark.slow
def test_an_upload_that_fails_once_is_said_and_tried_again(
    text_folder, workdir, bucket, remote, monkeypatch, capsys
):
    failed = []

    def fail_once(name):
        if name.endswith("latest/3/manifest.json") and not failed:
            failed.append(name)
            raise OSError("the store is out")

    monkeypatch.setattr(bucket, "on_write", staticmethod(fail_once))
    assert cli.main(train_arguments(text_folder, URL, **SAVES)) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "wae-rnf:" in line]
    assert len(said) == 1
    assert "the store is out; training continues, and each checkpoint tries again" in said[0]
    assert_same_state(remote, workdir)


@pytest.mark.slow
def test_a_store_that_fails_to_the_end_is_exit_code_1_and_nothing_is_lost(
    text_folder, workdir, tmp_path, bucket, remote, monkeypatch, capsys
):
    def out(name):
        if not name.endswith("lease.json"):
            raise OSError("the store is out")

    arguments = train_arguments(text_folder, URL, **SAVES)
    with monkeypatch.context() as patch:
        patch.setattr(bucket, "on_write", staticmethod(out))
        assert cli.main(arguments) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "wae-rnf:" in line]
    assert len(said) == 2
    (kept,) = (tmp_path / "here").glob("*/vae")
    assert f"the run is whole in {kept}, and the same command publishes it" in said[1]
    assert cli.main(arguments) == 0
    assert "already trained" in capsys.readouterr().out
    assert_same_state(remote, workdir)


@pytest.mark.slow
def test_a_second_run_is_refused_and_one_whose_place_was_taken_stops(
    text_folder, bucket, remote, monkeypatch, capsys
):
    arguments = train_arguments(text_folder, URL, **SAVES)
    codes = []

    def second(self, state, *arguments_, **options):
        save(self, state, *arguments_, **options)
        if int(state.step) == 3:
            codes.append(cli.main(arguments))
            with monkeypatch.context() as patch:
                patch.setattr(mirror_module, "DIRECTORY", str(bucket.folder / "there"))
                codes.append(cli.main(arguments))
            (remote / "lease.json").write_text('{"id": "another"}')

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", second)
    assert cli.main(arguments) == 1
    assert codes == [2, 2]
    said = [line for line in capsys.readouterr().err.splitlines() if "wae-rnf:" in line]
    assert f"{URL} is in use by another run, process {os.getpid()} on host" in said[0]
    assert f"{URL} is in use by another run, process {os.getpid()} on host" in said[-2]
    assert f"another run has taken {URL}: this one stops, and is kept in" in said[-1]
    assert not (remote / "checkpoints").exists()


@pytest.mark.slow
def test_a_run_begins_from_a_model_on_a_bucket_and_others_read_it(
    text_folder, workdir, bucket, remote, tmp_path
):
    shutil.copytree(workdir, remote)
    new = tmp_path / "new"
    assert cli.main([*train_arguments(text_folder, new), f"--init_from={URL}/"]) == 0
    assert (new / "init_from.json").read_text().count(URL) == 1
    assert cli.main(["sample", f"--workdir={URL}", "--num=2"]) == 0
    assert cli.main(["plot", URL, f"--output={tmp_path / 'plots'}"]) == 0
    words = [
        "--start=the cat sat",
        "--end=a cat ran",
        "--grid=2",
        "--num_codes=9",
        "--num_points=2",
    ]
    assert cli.main(["geometry", f"--workdir={URL}", *words, "--num_knots=2"]) == 0
    assert {"geometry.json", "geometry.png"} <= set(os.listdir(remote))
