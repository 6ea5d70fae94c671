"""Checkpoints and the workdir: what a run leaves on disk and how it is read back.

    workdir/config.json          the resolved configuration
    workdir/corpus/              vocabulary, validation and test splits
    workdir/checkpoints/latest/  the two newest states
    workdir/checkpoints/best/    the state with the best validation bound
    workdir/metrics.jsonl        one line a logging interval or validation
    workdir/results.json         what `evaluate` found

A checkpoint is the whole training state with the run's key; the step in it is the position in the
data, so that a resumed run is the run that never stopped.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from wae_rnf_jax.data.corpora import Corpus, load_evaluation_corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.training.step import TrainState


class Progress(NamedTuple):
    """What early stopping remembers."""

    best_bound: float | None = None
    best_step: int | None = None
    without_gain: int = 0  # validations since the best


class Checkpoints:
    """The latest and the best checkpoints of one run."""

    def __init__(self, workdir: Path) -> None:
        self.directory = (workdir / "checkpoints").absolute()
        self._managers = {
            name: ocp.CheckpointManager(
                self.directory / name,
                options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
            )
            for name, keep in (("latest", 2), ("best", 1))
        }

    def latest_step(self) -> int | None:
        """Returns the newest saved step, or None."""
        return self._managers["latest"].latest_step()

    def save(self, state: TrainState, rng: jax.Array, progress: Progress, *, best: bool) -> None:
        """Saves the state as the latest, and as the best where `best`."""
        step = int(state.step)
        for name in ("latest", "best") if best else ("latest",):
            manager = self._managers[name]
            if step in manager.all_steps():
                continue
            manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave({"state": state, "rng": jax.random.key_data(rng)}),
                    progress=ocp.args.JsonSave(progress._asdict()),
                ),
            )

    def restore(self, abstract: TrainState, rng: jax.Array, step: int):
        """Returns (state, rng, progress) of a latest checkpoint, laid out as `abstract`."""
        target = {"state": abstract, "rng": jax.random.key_data(rng)}
        restored = self._managers["latest"].restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(target), progress=ocp.args.JsonRestore()
            ),
        )
        rng = jax.random.wrap_key_data(restored["state"]["rng"])
        return restored["state"]["state"], rng, Progress(**restored["progress"])

    def wait(self) -> None:
        """Returns when everything saved is on disk."""
        for manager in self._managers.values():
            manager.wait_until_finished()

    def close(self) -> None:
        """Waits and releases the managers."""
        for manager in self._managers.values():
            manager.close()


class Run(NamedTuple):
    """A trained model and what it needs to be used."""

    config: ConfigDict
    corpus: Corpus  # vocabulary, valid, test
    model: TextAutoencoder
    variables: dict[str, Any]
    step: int


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one move: a reader finds the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2, default=float) + "\n")
    os.replace(temporary, path)


def read_config(workdir: Path) -> ConfigDict:
    """Returns the configuration a workdir was trained with; InputError where there is none."""
    path = workdir / "config.json"
    try:
        return ConfigDict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(
            f"--workdir: {workdir} holds no run (no config.json): name the workdir of a "
            "`wae-rnf train`"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"--workdir: {path} cannot be read: {error}") from error


def load_run(workdir: Path) -> Run:
    """Returns the model that the workdir's configuration selects, with its corpus."""
    # Only the builders of training/state.py read the configuration; imported here, because they
    # in turn need nothing of this file and the step does not need Orbax.
    from wae_rnf_jax.training.state import build_model

    config = read_config(workdir)
    corpus = load_evaluation_corpus(workdir / "corpus")
    model = build_model(config, corpus.vocabulary.size)
    name = "best" if config.train.select == "best" else "latest"
    variables, step = _restore_variables(workdir / "checkpoints", name)
    return Run(config, corpus, model, variables, step)


def _restore_variables(directory: Path, name: str) -> tuple[dict[str, Any], int]:
    choices = [name, "latest"]
    for choice in choices:
        if not (directory / choice).is_dir():
            continue
        with ocp.CheckpointManager((directory / choice).absolute()) as manager:
            step = manager.latest_step()
            if step is None:
                continue
            restored = manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore())
            )
        state = restored["state"]["state"]
        variables = {"params": state["params"], "batch_stats": state.get("batch_stats") or {}}
        return jax.device_put(variables, jax.local_devices()[0]), step
    raise InputError(f"--workdir: {directory} holds no checkpoint yet: train for longer")
