"""What a file contains, in one number; of a large file it is remembered."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.files import new_file

__all__ = ["DIGESTS", "file_digest", "large_file_stamp"]

DIGESTS = "digests"  # name of the folder that remembers them

LARGE = 1 << 26  # bytes, which take about 0.05 s to digest
# A file that is changed twice within a tick of the file system's clock has one time of change.
_SETTLED_SECONDS = 2


def large_file_stamp(path: Path) -> list[int] | None:
    """Size in bytes and time of change in nanoseconds of a large file; None for any other."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns] if status.st_size >= LARGE else None


def file_digest(path: Path, *, memory: Path | None = None) -> str:
    """SHA-256 of a file.

    Args:
      path: the file.
      memory: folder in which the digests of large files are remembered, with size and time of
        change, so that gigabytes are not read at every start; None to read it in any case.

    Returns:
      The digest in hexadecimal.

    Raises:
      InputError: if the file cannot be read.
    """
    stamp = large_file_stamp(path) if memory is not None else None
    if stamp is None:
        return _digest(path)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    note = memory / f"{name}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):  # a memory lost is no error
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["stamp"] == stamp:
            return str(known["sha256"])
    digest = _digest(path)
    if large_file_stamp(path) == stamp and time.time() > stamp[1] / 1e9 + _SETTLED_SECONDS:
        with suppress(OSError):
            memory.mkdir(parents=True, exist_ok=True)
            content = {"file": os.fspath(path), "stamp": stamp, "sha256": digest}
            with new_file(note) as file:
                file.write(json.dumps(content).encode())
    return digest


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
