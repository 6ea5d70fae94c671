"""Checkpoints: the latest ones, to resume from, and the best one, to use.

A checkpoint is the whole training state with the run's key; the step in it is the position in the
data, so that a resumed run is the run that never stopped.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.step import TrainState


class Progress(NamedTuple):
    """What early stopping remembers."""

    best_bound: float | None = None
    best_step: int | None = None
    without_gain: int = 0  # validations since the best


class Checkpoints:
    """The latest and the best checkpoints of one run."""

    def __init__(self, workdir: Path) -> None:
        import orbax.checkpoint as ocp

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
        import orbax.checkpoint as ocp

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
        import orbax.checkpoint as ocp

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


def restored_variables(directory: Path, select: str) -> tuple[dict[str, Any], int]:
    """Returns a run's model variables and their step.

    Args:
      directory: the run's checkpoints.
      select: "best" on validation, or "last"; the last also serves where none is the best yet.

    Raises:
      InputError: there is no checkpoint.
    """
    import orbax.checkpoint as ocp

    for name in ("best", "latest") if select == "best" else ("latest",):
        if not (directory / name).is_dir():
            continue
        with ocp.CheckpointManager((directory / name).absolute()) as manager:
            step = manager.latest_step()
            if step is None:
                continue
            restored = manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore())
            )
        state = restored["state"]["state"]
        variables = {"params": state["params"], "batch_stats": state["batch_stats"] or {}}
        return jax.device_put(variables, jax.local_devices()[0]), step
    raise InputError(f"--workdir: {directory} holds no checkpoint yet: train for longer")
