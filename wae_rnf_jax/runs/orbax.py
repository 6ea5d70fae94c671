"""Orbax, as checkpoints are written and read by it: quietly, by this process alone, by plain names.

Orbax and TensorStore raise errors of any kind, print their tracebacks from several threads, and
leave tasks behind whose tracebacks asyncio prints when they are collected. So all that is done
here, in silence, and comes as an OSError of one sentence.
"""

import gc
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from wae_rnf_jax.errors import first_line

__all__ = ["restored", "save"]

# Of an absolute path: what means nothing but itself to Orbax, to etils, which takes /gs/a for
# gs://a, and to TensorStore.
_PLAIN = re.compile(r"(?!/(gs|s3|az|hf)(/|$))(/[\w.,=+@-]*)+", re.ASCII)


def save(directory: Path, state: Any, progress: dict[str, Any]) -> None:
    """Writes a checkpoint.

    Args:
      directory: folder to make, absolute; the folder above it exists.
      state: pytree of NumPy arrays.
      progress: what JSON can hold.

    Raises:
      OSError: what there is of it is not whole.
    """
    import orbax.checkpoint as ocp

    args = ocp.args.Composite(
        state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress)
    )
    _called(directory, lambda checkpointer, path: checkpointer.save(path, args=args))


def restored(directory: Path) -> tuple[Any, dict[str, Any]]:
    """Returns (state, progress) of a checkpoint.

    The state is one of nested dicts and lists, which stand for tuples too, and of NumPy arrays.

    Args:
      directory: its folder, absolute.

    Raises:
      OSError: it cannot be read.
    """
    import orbax.checkpoint as ocp

    # Earlier versions saved arrays of devices, as many as there were.
    any_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    args = ocp.args.Composite(
        state=ocp.args.StandardRestore(fallback_sharding=any_device),
        progress=ocp.args.JsonRestore(),
    )
    found = _called(directory, lambda checkpointer, path: checkpointer.restore(path, args=args))
    return jax.device_get(found["state"]), found["progress"]


def _called(directory: Path, call: Callable[[Any, Path], Any]) -> Any:
    """Calls with a checkpointer and a path to the directory."""
    import orbax.checkpoint as ocp

    # Of several processes, one writes and reads: it must not wait for the others.
    only = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=only, active_processes={only}, barrier_sync_key_prefix="wae_rnf"
    )
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=alone)
    )
    with _silence(), _plain(directory.parent) as folder:
        try:
            with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
                return call(checkpointer, folder / directory.name)
        except Exception as error:
            failure = _reason(error).replace(str(folder), str(directory.parent))
        gc.collect()
    raise OSError(failure)


@contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """Gives a path to a folder in which nobody reads a pattern, a URL or another encoding."""
    if _PLAIN.fullmatch(str(folder)):
        yield folder
        return
    place = tempfile.gettempdir()
    place = place if _PLAIN.fullmatch(place) else "/tmp"
    with tempfile.TemporaryDirectory(prefix="wae_rnf_jax-", dir=place) as made:
        link = Path(made) / "link"
        link.symlink_to(folder)
        yield link


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
