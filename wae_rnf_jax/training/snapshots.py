"""One checkpoint on disk: a folder that Orbax writes, and the digests of its files.

`manifest.json` holds the SHA-256 of every file and the fingerprint of the run's configuration:
what a disk damaged, or another run left, is known before it is read. Checkpoints of earlier
versions have no manifest; they are whole if Orbax can read them.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from absl import logging

from wae_rnf_jax.data.manifest import file_digests
from wae_rnf_jax.errors import InputError

MANIFEST = "manifest.json"
FORMAT = 1


class Damaged(Exception):
    """A checkpoint is not as it was written; the message says where."""


def write_snapshot(directory: Path, state: Any, progress: dict[str, Any], *, run: str) -> None:
    """Writes a checkpoint; any exception means that it is not whole.

    Args:
      directory: folder to make, absolute.
      state: pytree of arrays.
      progress: what JSON can hold.
      run: fingerprint of the run's configuration.
    """
    import orbax.checkpoint as ocp

    args = ocp.args.Composite(
        state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress)
    )
    with _quiet(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(directory, args=args)
    names = sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )
    manifest = {"format": FORMAT, "run": run, "files": file_digests(directory, names)}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def check_snapshot(directory: Path, *, run: str) -> bool:
    """Compares a checkpoint's files with their digests.

    Args:
      directory: folder of the checkpoint.
      run: fingerprint of the configuration that it must be of.

    Returns:
      Whether there is a manifest to compare with.

    Raises:
      Damaged: a file is missing or is not as it was written.
      InputError: the checkpoint is whole, and of another run.
    """
    if not directory.is_dir():
        raise Damaged(f"{directory} is missing")
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        present = file_digests(directory, manifest["files"])
        wrong = [name for name, digest in manifest["files"].items() if present[name] != digest]
        of_run = manifest["run"]
    except FileNotFoundError:
        return False
    except InputError as error:  # of a file that the manifest names
        raise Damaged(f"{directory} is damaged ({error})") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{directory} is damaged ({path.name} cannot be read)") from error
    if wrong:
        raise Damaged(f"{directory} is damaged ({wrong[0]} is not as it was written)")
    if of_run != run:
        raise InputError(
            f"--workdir: {directory} is a checkpoint of another configuration than the workdir's "
            "config.json: remove it, or name another workdir"
        )
    return True


def read_snapshot(directory: Path, *, run: str, like: Any = None) -> tuple[Any, dict[str, Any]]:
    """Returns (state, progress) of a checkpoint, checked.

    Args:
      directory: folder of the checkpoint, absolute.
      run: fingerprint of the configuration that it must be of.
      like: pytree of arrays whose structure, shapes and devices the state takes; if None, the
        structure is that of nested dicts and lists, and the devices are Orbax's choice.

    Raises:
      Damaged: the checkpoint is not whole.
      InputError: it is whole, and of another run, or of another version of this program.
    """
    import orbax.checkpoint as ocp

    with_manifest = check_snapshot(directory, run=run)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(like), progress=ocp.args.JsonRestore())
    try:
        with _quiet(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            restored = checkpointer.restore(directory, args=args)
        return jax.block_until_ready(restored["state"]), restored["progress"]
    except Exception as error:  # TensorStore's errors come as any kind, even as plain Exception
        if not with_manifest:
            raise Damaged(f"{directory} cannot be read ({reason(error)})") from error
        raise InputError(
            f"--workdir: {directory} is whole and does not fit this version's model "
            f"({reason(error)}): use the version that trained it, or name another workdir"
        ) from error


def reason(error: Exception) -> str:
    """Returns an error in a few words: the operating system's where it stands behind it."""
    code = getattr(error, "errno", None) or re.search(r"os_error_code='(\d+)'", str(error))
    if code:
        return os.strerror(code if isinstance(code, int) else int(code[1]))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs the tracebacks of the errors that it raises; one sentence is said instead."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
