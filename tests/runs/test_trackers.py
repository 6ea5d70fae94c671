"""Weights & Biases offline and MLflow's stores, for real; a run that goes on; places not there."""

import json
import struct
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.runs.test_metrics import lines, row
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs import sinks
from wae_rnf_jax.runs.metrics import MetricsLog
from wae_rnf_jax.runs.trackers import check_trackers, tracker_sinks

CONFIG = {"model": {"latent_dim": 16, "decoder": "lstm"}, "train": {"learning_rate": 0.001}}


@pytest.fixture(autouse=True)
def nowhere_but_here(tmp_path, monkeypatch):
    """No login, no setting and no server of the one who runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    # A busy machine is not taken for a hung place, nor for one where wandb's process cannot start.
    monkeypatch.setattr(sinks, "PATIENCE", 120.0)
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "120")


def train(workdir: Path, tracker: str, steps: range) -> None:
    """What a run of these steps hands to its log."""
    workdir.mkdir(parents=True, exist_ok=True)
    log = MetricsLog(
        workdir,
        first_step=steps.start - 1,
        num_steps=9,
        interval=1,
        quiet=True,
        more_sinks=lambda: tracker_sinks((tracker,), workdir, CONFIG),
    )
    for step in steps:
        log.add(step, row(float(step)))
    log.write("valid", steps[-1], {"neg_elbo": 20.5, "ppl": float("inf")})
    log.close()


def leveldb_log(content: bytes) -> list[bytes]:
    """The records, after a header, of a log in LevelDB's format, which is that of wandb's files."""
    records, place = [b""], 7
    while len(content) - place >= 7:
        left_in_block = 32768 - place % 32768
        if left_in_block < 7:
            place += left_in_block
            continue
        size, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        records[-1] += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part of several
            records.append(b"")
    return records[:-1]


def offline_history(workdir: Path) -> tuple[set[str], list[dict[str, float]]]:
    """The ids of the runs, and the rows, that `wandb sync` would send."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # its process writes the end of a file after the run has been finished
    ids, rows = set(), []
    for path in sorted(workdir.glob("wandb/offline-run-*/*.wandb")):
        for record in map(Record.FromString, leveldb_log(path.read_bytes())):
            if record.HasField("run"):
                ids.add(record.run.run_id)
            if record.HasField("history"):
                items = record.history.item
                rows.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in items})
    return ids, rows


def test_without_a_login_the_run_is_kept_for_wandb_sync_and_goes_on_under_its_id(tmp_path, capfd):
    workdir = tmp_path / "runs" / "vae"
    train(workdir, "wandb", range(1, 4))
    time.sleep(1.1)  # offline runs are told apart by the second they began in
    train(workdir, "wandb", range(3, 6))  # from the checkpoint of step 2
    ids, rows = offline_history(workdir)
    assert ids == {json.loads((workdir / "trackers.json").read_text())["wandb"]}
    losses = [(r["step"], r["train/loss"]) for r in rows if "train/loss" in r]
    assert losses == [(k, float(k)) for k in (1, 2, 3, 3, 4, 5)]
    assert [r["valid/neg_elbo"] for r in rows if "valid/neg_elbo" in r] == [20.5, 20.5]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("store", ["files", "its default, a database"])
def test_mlflow_has_values_and_parameters_and_goes_on_in_its_run(tmp_path, store, monkeypatch):
    from mlflow import MlflowClient

    if store != "files":
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    workdir = tmp_path / "runs" / "vae"
    train(workdir, "mlflow", range(1, 4))
    train(workdir, "mlflow", range(4, 6))
    client = MlflowClient()
    experiment = client.get_experiment_by_name("wae_rnf_jax")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("runs/vae", "FINISHED")
    assert run.data.params["model.latent_dim"] == "16"
    assert run.data.params["train.learning_rate"] == "0.001"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in history] == [(k, float(k)) for k in range(1, 6)]
    assert run.data.metrics["valid/neg_elbo"] == 20.5
    assert "valid/ppl" not in run.data.metrics


def test_a_server_that_is_not_there_is_said_once_and_loses_no_line_of_the_workdir(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    workdir = tmp_path / "run"
    train(workdir, "mlflow", range(1, 4))
    (said,) = [
        text for text in capsys.readouterr().err.splitlines() if "training continues" in text
    ]
    assert "MLflow cannot be written (" in said
    assert [line["step"] for line in lines(workdir)] == [1, 2, 3, 3]


def test_a_tracker_that_hangs_at_its_start_or_end_holds_up_nothing(tmp_path, monkeypatch, capsys):
    import mlflow

    hang, begun = threading.Event(), time.monotonic()
    monkeypatch.setattr(mlflow, "MlflowClient", lambda: hang.wait(60))
    monkeypatch.setattr(sinks, "PATIENCE", 0.2)
    train(tmp_path / "start", "mlflow", range(1, 4))
    hang.set()
    assert time.monotonic() - begun < 20
    assert "MLflow cannot be written (it does not answer within" in capsys.readouterr().err

    class Ends:
        def __call__(self, line):
            pass

        def close(self):
            ended.wait(60)

    ended, begun = threading.Event(), time.monotonic()
    sink = sinks.Sink("board", Ends())
    sink.put(sinks.Line("train", 1, {}))
    sink.close()
    ended.set()
    assert time.monotonic() - begun < 20
    assert "board cannot be written (it does not end within" in capsys.readouterr().err


def test_what_is_unknown_or_not_installed_is_said_before_anything(monkeypatch):
    with pytest.raises(
        InputError, match="--track: 'tensorbord' is not a tracker: it must be one of wandb"
    ):
        check_trackers(["tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"needs wandb.*pip install 'wae-rnf-jax\[wandb\]'"):
        check_trackers(["mlflow", "wandb"])
