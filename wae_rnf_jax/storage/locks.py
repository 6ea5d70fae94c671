"""A lock of the operating system on a file, `flock`.

The system takes the lock back when the process that holds it ends, however it ends, so that a
killed process blocks nobody. What the file says, who took the lock last, is for messages.

On a local disk the lock holds between all processes of the host. On NFS, Linux makes it a lock of
the server, which holds between hosts, unless the mount says `nolock` or `local_lock`; that of a
host that died is free once the server's lease ran out (NFSv4: minutes) or the host is up again
(NFSv3). Lustre needs the mount option `flock`. Where a file system has no locks, that is said, and
work goes on.

The package filelock calls the same `flock`. Who holds it, waiting aloud and file systems without
locks would still be the work of this file, and its releases before July 2026 empty the file that
names the holder whenever they try for the lock.
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from wae_rnf_jax.errors import warn

__all__ = ["Locked", "is_locked", "lock"]

_HOLDER_BYTES = 1000  # of the file, which may be anything, that a message shows at most


class Locked(Exception):
    """Another process holds the lock; the message is "process 7 on host h"."""


@contextmanager
def lock(
    path: Path,
    *,
    waiting: Callable[[str], object] | None = None,
    unlocked: str = "make sure that no other process uses it",
    remove: bool = False,
) -> Iterator[bool]:
    """Holds the lock on a file.

    Args:
      path: the file, made if missing; its folder exists.
      waiting: called once with the holder, "process 7 on host h", before this process waits for it;
        None to raise Locked instead.
      unlocked: the end of the warning that the file system has no locks: what that means.
      remove: whether the file is removed in the end; those that wait for it then lock a new one.

    Yields:
      Whether the lock is held; False where the file system has no locks.

    Raises:
      Locked: another process holds it, and it was not to be waited for.
      OSError: the file cannot be opened.
    """
    said = False
    while True:
        # Not inherited by programs that this process starts: they would keep the lock after it.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
            held = True
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # NFS says EACCES for EAGAIN
                if waiting is None:
                    raise Locked(_holder(file)) from None
                if not said:
                    waiting(_holder(file))
                    said = True
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                warn(
                    f"{path.parent} is on a file system without locks ({error.strerror}): "
                    f"{unlocked}"
                )
                held = False
            if held and not _is_at(file, path):  # its holder was done with it, and removed it
                continue
            _sign(file, path)
            try:
                yield held
            finally:
                if remove:  # while it is held: nobody may hold a file that has no name
                    with suppress(OSError):
                        path.unlink()
            return


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock; False where there is none, or no locks to tell by."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    return False


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: BinaryIO, path: Path) -> None:
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} on host {socket.gethostname()}\n".encode())
    except OSError as error:
        warn(f"{path} cannot be written ({error.strerror})")


def _holder(file: BinaryIO) -> str:
    text = os.pread(file.fileno(), _HOLDER_BYTES, 0).decode(errors="replace")
    name = text.partition("\n")[0].strip()
    return f"process {name or '(unknown)'}"
