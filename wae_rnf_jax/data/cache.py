"""Folders that come into being whole, and by one process at a time.

A folder is filled under another name and renamed, so that what is there is complete. Of several
processes of a host that would make the same one, one does, holding a lock of the operating system;
the others wait and find it made. The system takes the lock back when its holder ends, however it
ends: a killed process blocks nobody, and what it left is removed by whoever comes next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from wae_rnf_jax.errors import InputError, warn

__all__ = ["new_directory"]

_UNFINISHED = ".preparing-"


@contextmanager
def new_directory(directory: Path) -> Iterator[Path | None]:
    """Gives a folder to fill, renamed to ``directory`` in the end, removed on an error.

    While another process fills one for the same purpose, this one waits.

    Args:
        directory: the folder to make.

    Yields:
        The folder to fill, beside it; None if ``directory`` is there already.

    Raises:
        InputError: if it cannot be written.
    """
    temporary = None
    try:
        with _sole_maker(directory):
            if not directory.exists():
                prefix = f"{_UNFINISHED}{directory.name}-"
                temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
            try:
                yield temporary
                if temporary is not None:
                    _rename(temporary, directory)
            finally:
                if temporary is not None:
                    shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {directory}: {error.strerror or error}") from error


def _rename(temporary: Path, directory: Path) -> None:
    temporary.chmod(0o755)
    try:
        os.replace(temporary, directory)
    except OSError:
        # A directory that holds files is never replaced: another process was first, on a host or
        # a file system that knows nothing of this one's locks.
        if not directory.is_dir():
            raise


@contextmanager
def _sole_maker(directory: Path) -> Iterator[None]:
    """Holds the lock on making a folder, unless it is there."""
    if directory.exists():
        yield
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock_of(directory)
    with _locked(lock, f"preparing {directory}") as (file, held):
        _sign(file)
        if held:
            _remove_leftovers(directory)
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()  # while it is held: nobody may hold a file that has no name


def _lock_of(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.lock")


@contextmanager
def _locked(lock: Path, purpose: str) -> Iterator[tuple[TextIO, bool]]:
    """Locks a file, waiting for its holder; gives it, and whether the file system has locks."""
    said = False
    while True:
        # Not inherited by programs that this process starts: they would keep the lock after it.
        with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT, 0o666), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # NFS says EACCES for EAGAIN
                if not said:
                    holder = file.read().strip() or "another process"
                    warn(f"{holder} is {purpose}: waiting until it is done")
                    said = True
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                warn(
                    f"{lock.parent} lies on a file system without locks ({error.strerror}): of "
                    "several processes that prepare the same corpus each does all of the work"
                )
                yield file, False
                return
            if _is_at(file, lock):  # else its holder was done with it, and removed it
                yield file, True
                return


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: TextIO) -> None:
    with suppress(OSError):
        file.truncate(0)
        file.seek(0)
        file.write(f"process {os.getpid()} on host {socket.gethostname()}\n")
        file.flush()


def _remove_leftovers(directory: Path) -> None:
    """Removes what killed processes left beside a folder whose lock this process holds."""
    for left in directory.parent.glob(f"{_UNFINISHED}*"):
        name = left.name.removeprefix(_UNFINISHED).rpartition("-")[0]
        if name == directory.name or _is_free(_lock_of(left.with_name(name or "none"))):
            shutil.rmtree(left, ignore_errors=True)


def _is_free(lock: Path) -> bool:
    """Whether nobody holds a lock; removes its file then."""
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
