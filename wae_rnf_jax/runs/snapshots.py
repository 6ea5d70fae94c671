"""One checkpoint on disk: a folder that Orbax writes, and the digests of its files.

`manifest.json` holds the SHA-256 of every file and the fingerprint of the run's configuration:
what a disk damaged, or another run left, is known before it is read. Checkpoints of earlier
versions have no manifest; they are whole if Orbax can read them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from wae_rnf_jax.data.manifest import file_digests
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs import orbax
from wae_rnf_jax.runs.versions import named_arrays

MANIFEST = "manifest.json"
FORMAT = 1


class Damaged(Exception):
    """A checkpoint is not as it was written; the message says where."""


def write_snapshot(directory: Path, state: Any, progress: dict[str, Any], *, run: str) -> None:
    """Writes a checkpoint, and reads it back.

    Args:
      directory: folder to make, absolute.
      state: pytree of NumPy arrays.
      progress: what JSON can hold.
      run: fingerprint of the run's configuration.

    Raises:
      OSError: what there is of it is not whole.
    """
    orbax.save(directory, state, progress)
    names = sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )
    try:
        manifest = {"format": FORMAT, "run": run, "files": file_digests(directory, names)}
    except InputError as error:
        raise OSError(str(error)) from error
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    try:
        found = orbax.restored(directory)
    except OSError as error:
        raise OSError(f"it cannot be read back: {error}") from error
    if not _equal(found, (state, progress)):
        raise OSError("what is read back differs")


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
        raise Damaged(f"{directory} is damaged ({wrong[0]} has changed since it was written)")
    if of_run != run:
        raise InputError(
            f"--workdir: {directory} is a checkpoint of a run with another configuration than the "
            "workdir's config.json: remove it, or name another workdir"
        )
    return True


def read_snapshot(directory: Path, *, run: str) -> tuple[Any, dict[str, Any]]:
    """Returns (state, progress) of a checkpoint, checked.

    The state is nested dicts and lists of NumPy arrays; `versions.fitted` gives it its structure.

    Args:
      directory: folder of the checkpoint, absolute.
      run: fingerprint of the configuration that it must be of.

    Raises:
      Damaged: the checkpoint is not whole.
      InputError: it is whole, and of another run, or cannot be read by this version of Orbax.
    """
    with_manifest = check_snapshot(directory, run=run)
    try:
        state, progress = orbax.restored(directory)
    except OSError as error:
        if not with_manifest:
            raise Damaged(f"{directory} cannot be read ({error})") from error
        raise InputError(
            f"--workdir: {directory} is intact but cannot be read ({error}): use the "
            "versions of this program and of Orbax that wrote it, or name another workdir"
        ) from error
    return state, progress


def _equal(found: Any, wanted: Any) -> bool:
    """Whether two pytrees hold the same arrays, bit for bit."""
    found, wanted = (
        {k: np.asarray(v) for k, v in named_arrays(tree).items()} for tree in (found, wanted)
    )
    return found.keys() == wanted.keys() and all(
        _form(array) == _form(wanted[name]) and array.tobytes() == wanted[name].tobytes()
        for name, array in found.items()
    )


def _form(array: Any) -> str:
    return f"{array.dtype}{list(array.shape)}"
