"""One checkpoint on disk: a folder that Orbax writes, and the digests of its files.

`manifest.json` holds the SHA-256 of every file and the fingerprint of the run's configuration:
what a disk damaged, or another run left, is known before it is read. Checkpoints of earlier
versions have no manifest; they are whole if Orbax can read them.
"""

import gc
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from wae_rnf_jax.data.manifest import file_digests
from wae_rnf_jax.errors import InputError, first_line

MANIFEST = "manifest.json"
FORMAT = 1


class Damaged(Exception):
    """A checkpoint is not as it was written; the message says where."""


def write_snapshot(directory: Path, state: Any, progress: dict[str, Any], *, run: str) -> None:
    """Writes a checkpoint.

    Args:
      directory: folder to make, absolute.
      state: pytree of NumPy arrays.
      progress: what JSON can hold.
      run: fingerprint of the run's configuration.

    Raises:
      OSError: what there is of it is not whole.
    """
    import orbax.checkpoint as ocp

    args = ocp.args.Composite(
        state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress)
    )
    _with_orbax(lambda checkpointer: checkpointer.save(directory, args=args))
    names = sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )
    try:
        manifest = {"format": FORMAT, "run": run, "files": file_digests(directory, names)}
    except InputError as error:
        raise OSError(str(error)) from error
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
        restored = _with_orbax(lambda checkpointer: checkpointer.restore(directory, args=args))
    except OSError as error:
        if not with_manifest:
            raise Damaged(f"{directory} cannot be read ({error})") from error
        raise InputError(
            f"--workdir: {directory} is whole and does not fit this version's model ({error}): "
            "use the version that trained it, or name another workdir"
        ) from error
    return restored["state"], restored["progress"]


def _with_orbax(call: Callable[[Any], Any]) -> Any:
    """Calls with a checkpointer; whatever goes wrong comes as an OSError of one sentence.

    Orbax and TensorStore raise errors of any kind, print their tracebacks from several threads, and
    leave tasks behind whose tracebacks asyncio prints when they are collected. So all that is done
    here, in silence.
    """
    import orbax.checkpoint as ocp

    # Of several processes, one writes and reads: it must not wait for the others.
    only = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=only, active_processes={only}, barrier_sync_key_prefix="wae_rnf"
    )
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=alone)
    )
    with _silence():
        try:
            with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
                return call(checkpointer)
        except Exception as error:
            failure = _reason(error)
        gc.collect()
    raise OSError(failure)


def _reason(error: Exception) -> str:
    """Returns an error in a few words: the operating system's where it stands behind it."""
    code = getattr(error, "errno", None) or re.search(r"os_error_code='(\d+)'", str(error))
    if code:
        return os.strerror(code if isinstance(code, int) else int(code[1]))
    return first_line(error)[:200]


@contextmanager
def _silence() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    if loggers[0].isEnabledFor(logging.INFO):  # somebody wants to see all of it
        yield
        return
    before, hook = [logger.level for logger in loggers], sys.unraisablehook
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = id  # takes it and does nothing, with no frame in a thread that is ending
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
