"""Experiment trackers beside TensorBoard: Weights & Biases, and MLflow.

Each is one of the `sinks`, so that no tracker can stop or slow training. Where they write to is
theirs to say, by their own environment variables.
"""

import json
import math
import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.extras import extra_module
from wae_rnf_jax.runs.sinks import Line, Sink
from wae_rnf_jax.runs.versions import config_leaves
from wae_rnf_jax.runs.workdir import write_json

PROJECT = "wae_rnf_jax"  # unless WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME names another
IDS = "trackers.json"  # in the workdir: what each tracker calls this run, to go on after a resume
_ids_in_use = threading.Lock()


class WeightsAndBiases:
    """Writes to Weights & Biases; without a login, to WORKDIR/wandb, for `wandb sync`.

    Args:
      workdir: of the run, which it is named after.
      config: of the run, shown beside its values.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any]) -> None:
        self._workdir, self._config = workdir, config
        self._run: Any = None

    def __call__(self, line: Line) -> None:
        """Writes the values, beside a step of their own: after a resume, steps may come again."""
        if self._run is None:
            self._run = self._begun()
        self._run.log({"step": line.step, **_named(line)})

    def _begun(self) -> Any:
        import wandb

        wandb.setup(settings=wandb.Settings(silent=True))
        mode = os.environ.get("WANDB_MODE")
        if mode is None and not wandb.login(prompt=False, verify=False):
            mode = "offline"
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=_name(self._workdir),
            id=_kept_id(self._workdir, "wandb")
            or _keep_id(self._workdir, "wandb", uuid.uuid4().hex[:16]),
            resume="allow",
            dir=self._workdir.absolute(),
            config=dict(self._config),
            mode=mode,
            settings=wandb.Settings(console="off"),
        )
        run.define_metric("*", step_metric="step")
        return run

    def close(self) -> None:
        """Ends the run there, once all is sent."""
        if self._run is not None:
            self._run.finish()


class MLflow:
    """Writes to MLflow: to MLFLOW_TRACKING_URI, or where MLflow itself would.

    Args:
      workdir: of the run, which it is named after.
      config: of the run, whose keys become its parameters.
    """

    def __init__(self, workdir: Path, config: Mapping[str, Any]) -> None:
        self._workdir, self._config = workdir, config
        self._client: Any = None

    def __call__(self, line: Line) -> None:
        """Writes the finite values."""
        from mlflow.entities import Metric

        if self._client is None:
            self._begin()
        now = int(1000 * time.time())
        metrics = [
            Metric(name, value, now, line.step)
            for name, value in _named(line).items()
            if math.isfinite(value)
        ]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _begin(self) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client, run_id = MlflowClient(), _kept_id(self._workdir, "mlflow")
        if run_id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            experiment = client.get_experiment_by_name(name)
            place = experiment.experiment_id if experiment else client.create_experiment(name)
            run_id = client.create_run(place, run_name=_name(self._workdir)).info.run_id
            _keep_id(self._workdir, "mlflow", run_id)
            leaves = config_leaves(self._config)
            parameters = [Param(key, str(value)) for key, value in leaves.items()]
            for first in range(0, len(parameters), 100):  # as many as a request may hold
                client.log_batch(run_id, params=parameters[first : first + 100])
        client.update_run(run_id, status="RUNNING")
        self._client, self._run_id = client, run_id

    def close(self) -> None:
        """Ends the run there."""
        if self._client is not None:
            self._client.set_terminated(self._run_id)


_TRACKERS = {
    "wandb": ("Weights & Biases", WeightsAndBiases, "wandb"),
    "mlflow": ("MLflow", MLflow, "mlflow-skinny"),
}


def check_trackers(names: Sequence[str]) -> None:
    """Raises InputError where there is no such tracker, or it is not installed."""
    for name in names:
        if name not in _TRACKERS:
            known = ", ".join(_TRACKERS)
            raise InputError(f"--track: {name!r} is not a tracker: it must be one of {known}")
        extra_module(name, package=_TRACKERS[name][2], extra=name)


def tracker_sinks(
    names: Sequence[str], workdir: Path, config: Mapping[str, Any]
) -> tuple[Sink, ...]:
    """Opens a sink for each tracker.

    Args:
      names: of trackers, checked.
      workdir: of the run.
      config: of the run.
    """
    chosen = [_TRACKERS[name] for name in names]
    return tuple(Sink(title, tracker(workdir, config)) for title, tracker, _ in chosen)


def _named(line: Line) -> dict[str, float]:
    return {f"{line.split}/{name}": float(value) for name, value in line.values.items()}


def _name(workdir: Path) -> str:
    """As in "ptb/wae_rnf"."""
    return "/".join(workdir.absolute().parts[-2:])


def _kept_id(workdir: Path, tracker: str) -> str | None:
    """What a tracker calls the run, if the workdir says so."""
    path = workdir / IDS
    return json.loads(path.read_text()).get(tracker) if path.exists() else None


def _keep_id(workdir: Path, tracker: str, run_id: str) -> str:
    """Writes down what a tracker calls the run, beside the other trackers' names for it."""
    path = workdir / IDS
    with _ids_in_use:
        ids = json.loads(path.read_text()) if path.exists() else {}
        write_json(path, {**ids, tracker: run_id})
    return run_id
