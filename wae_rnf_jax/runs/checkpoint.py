"""Checkpoints: the latest ones, to resume from, and the best ones, to use.

A checkpoint is the whole training state with the run's key; the step in it is the position in the
data, so that a resumed run is the run that never stopped.

It is made in `checkpoints/.unfinished` and moved to its place when it is whole, so that neither a
full disk nor a kill leaves a part of one. Two of each kind are kept: where the newest was damaged
later, the one before serves.
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax

from wae_rnf_jax.errors import InputError, TrainingFailed, warn
from wae_rnf_jax.functional._keys import key_of_data
from wae_rnf_jax.runs.snapshots import (
    Damaged,
    check_snapshot,
    read_snapshot,
    write_snapshot,
)
from wae_rnf_jax.runs.versions import current_state, fitted, nested

KINDS = ("best", "latest")
KEPT = 2  # of each kind


class NotSaved(TrainingFailed):
    """A checkpoint could not be written; those before it are untouched."""


class Progress(NamedTuple):
    """What early stopping remembers."""

    best_bound: float | None = None
    best_step: int | None = None
    without_gain: int = 0  # validations since the best
    validated_step: int | None = None  # the last one that was validated


class Checkpoints:
    """The latest and the best checkpoints of one run, which alone may write to its workdir."""

    def __init__(self, workdir: Path, *, run: str) -> None:
        self.directory = (workdir / "checkpoints").absolute()
        self._run = run
        self._unfinished = self.directory / ".unfinished"
        self._removed = self.directory / ".removed"
        # What a kill left; earlier versions let Orbax write in place, under names of its own.
        earlier = self.directory.glob("*/*.orbax-checkpoint-tmp*")
        for left in (self._unfinished, self._removed, *earlier):
            shutil.rmtree(left, ignore_errors=True)
        for kind in KINDS:
            self._prune(kind)

    def latest_step(self) -> int | None:
        """Returns the newest saved step, or None."""
        return newest_step(self.directory)

    def save(self, state: Any, rng: jax.Array, progress: Progress, *, best: bool) -> None:
        """Saves the state as the latest, and as the best where `best`; returns when it is on disk.

        Raises:
          NotSaved: the disk is full or cannot be written; what was saved before is untouched.
        """
        # Here, so that an error of the computation is not taken for one of the disk; and as the
        # host's arrays, since those of several processes' devices are not one process's to save.
        content = jax.device_get({"state": state, "rng": jax.random.key_data(rng)})
        step = int(content["state"].step)
        made = self._unfinished / "latest"
        try:
            made.parent.mkdir(parents=True, exist_ok=True)
            write_snapshot(made, content, progress._asdict(), run=self._run)
            if best:  # first, as the latest counts on it
                self._publish(shutil.copytree(made, self._unfinished / "best"), step)
            self._publish(made, step)
        except OSError as error:
            reason = error.strerror or error
            raise NotSaved(f"step {step} could not be saved ({reason})") from error
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def _publish(self, made: Path, step: int) -> None:
        """Moves a whole checkpoint to the folder of its kind, and removes the oldest there."""
        folder = self.directory / made.name
        folder.mkdir(exist_ok=True)
        self._remove(folder / str(step))
        made.rename(folder / str(step))
        self._prune(made.name)

    def _prune(self, kind: str) -> None:
        for old in _newest_first(self.directory, kind)[KEPT:]:
            self._remove(old)

    def _remove(self, path: Path) -> None:
        """Removes a checkpoint; a kill leaves no part of it where checkpoints are looked for."""
        if path.is_dir():
            path.rename(self._removed)
            shutil.rmtree(self._removed, ignore_errors=True)

    def restore(self, like: Any, rng: jax.Array) -> tuple[Any, jax.Array, Progress] | None:
        """Returns (state, rng, progress) of the newest whole checkpoint; None where there is none.

        Those newer than it are damaged; they are named and removed, as the run makes them again,
        number for number.

        Args:
          like: a state of this run, whose structure the restored one has, in arrays of the host.
          rng: a key of this run.

        Raises:
          InputError: there are checkpoints, and none is whole, or one is of another run.
        """
        found = _first_whole(_newest_first(self.directory), self._run, "continuing from {}")
        if found is None:
            return None
        (content, progress), place, damaged = found
        state = fitted(content["state"], like, place=str(place))
        key_data = fitted(content["rng"], jax.random.key_data(rng), place=str(place))
        for path in damaged:
            self._remove(path)
        # Those of earlier versions were saved after the validation that was due, if one was.
        progress = {"validated_step": int(state.step), **progress}
        rng = key_of_data(key_data)
        return state, rng, self._with_whole_best(Progress(**progress))

    def _with_whole_best(self, progress: Progress) -> Progress:
        """Returns the progress, its best step set back to one whose checkpoint is whole."""
        step = progress.best_step
        if step is None or self._is_whole("best", step):
            return progress
        if self._is_whole("latest", step):  # the same state
            copy = self._unfinished / "best"
            shutil.copytree(self.directory / "latest" / str(step), copy)
            self._publish(copy, step)
            warn(
                f"the best checkpoint, step {step}, is missing or damaged: restored from the latest"
            )
            return progress
        self._remove(self.directory / "best" / str(step))
        earlier = self._newest_best()
        now = "the next one measured" if earlier.best_step is None else f"step {earlier.best_step}"
        warn(f"the best checkpoint, step {step}, is missing or damaged: the best is now {now}")
        return earlier._replace(
            without_gain=progress.without_gain, validated_step=progress.validated_step
        )

    def _newest_best(self) -> Progress:
        for path in _newest_first(self.directory, "best"):
            try:
                return Progress(**read_snapshot(path, run=self._run)[1])
            except Damaged:
                continue
        return Progress()

    def _is_whole(self, kind: str, step: int) -> bool:
        try:
            check_snapshot(self.directory / kind / str(step), run=self._run)
        except Damaged:
            return False
        return True


class RestoredModel(NamedTuple):
    """What a checkpoint holds of the model."""

    variables: dict[str, Any]
    step: int
    centers: jax.Array | None  # [C, Z] of the codebook, where the system has one


def restored_model(directory: Path, select: str, *, run: str) -> RestoredModel:
    """Returns a run's model variables, their step and the codebook's centers.

    Args:
      directory: the run's checkpoints.
      select: "best" on validation, or "last"; the last also serves where none is the best yet.
        Where the wanted one is damaged, the next best or the one before serves, and is named.
      run: fingerprint of the run's configuration.

    Raises:
      InputError: there is no checkpoint, or none is whole.
    """
    paths = _newest_first(directory.absolute())
    if select == "best":
        best = _newest_first(directory.absolute(), "best")
        copies = [directory.absolute() / "latest" / path.name for path in best]  # the same states
        in_turn = [path for pair in zip(best, copies, strict=True) for path in pair]
        paths = [path for path in dict.fromkeys([*in_turn, *paths]) if path.is_dir()]
    found = _first_whole(paths, run, "using {}")
    if found is None:
        raise InputError(f"--workdir: {directory} holds no checkpoint yet: train for longer")
    (content, _), path, _ = found
    state = current_state(content["state"])
    variables = {name: nested(state, name) for name in ("params", "batch_stats")}
    variables["params"] = nested(state, "average") or variables["params"]
    centers = state.get("codebook/centers")
    variables, centers = jax.device_put((variables, centers), jax.local_devices()[0])
    return RestoredModel(variables, int(path.name), centers)


def saved_steps(directory: Path, kind: str) -> list[int]:
    """Returns the steps that a folder of checkpoints has of a kind, rising."""
    return sorted(int(path.name) for path in _newest_first(directory, kind))


def newest_step(directory: Path) -> int | None:
    """Returns the newest step that a folder of checkpoints has, whole or damaged, or None."""
    newest = _newest_first(directory)
    return int(newest[0].name) if newest else None


def _newest_first(directory: Path, *kinds: str) -> list[Path]:
    """The checkpoints of some kinds, or of all, those of the highest step first."""
    paths = [
        path
        for kind in kinds or KINDS
        for path in (directory / kind).glob("*")
        if path.name.isdecimal() and path.is_dir()
    ]
    return sorted(paths, key=lambda path: (int(path.name), path.parent.name), reverse=True)


def _first_whole(
    paths: list[Path], run: str, consequence: str
) -> tuple[tuple[Any, dict[str, Any]], Path, list[Path]] | None:
    """Reads the first whole checkpoint: (content, its path, the damaged ones before it).

    Each damaged one is named, with the consequence; where no path is given, the result is None.
    """
    damaged: dict[Path, Damaged] = {}
    for path in paths:
        try:
            content = read_snapshot(path, run=run)
        except Damaged as error:
            damaged[path] = error
            continue
        for error in damaged.values():
            warn(f"{error}: {consequence.format(path)}")
        return content, path, list(damaged)
    if damaged:
        reasons = "; ".join(str(error) for error in damaged.values())
        raise InputError(f"--workdir: no checkpoint is intact: {reasons}; name another workdir")
    return None
