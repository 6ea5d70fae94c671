"""One run at a time in a workdir: a lock of the operating system on the file `workdir/lock`.

The system takes the lock back when the process that holds it ends, however it ends, so that a
killed run blocks nobody. The file stays; what it says, who took the lock last, is for the message.

On a local disk the lock holds between all processes of the host. On NFS, Linux makes it a lock of
the server, which holds between hosts, unless the mount says `nolock` or `local_lock`; that of a
host that died is free once the server's lease ran out (NFSv4: minutes) or the host is up again
(NFSv3). Lustre needs the mount option `flock`. Where a file system has no locks, that is said, and
keeping a second run away is left to the user.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wae_rnf_jax.errors import InputError, warn


@contextmanager
def sole_use(workdir: Path) -> Iterator[None]:
    """Holds the workdir, made if missing, for this process alone.

    Args:
      workdir: folder of the run.

    Raises:
      InputError: another process holds it, or the folder cannot be made or written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        # Not inherited by programs that this process starts: they would keep the lock after it.
        file = os.fdopen(os.open(workdir / "lock", os.O_RDWR | os.O_CREAT, 0o666), "r+")
    except OSError as error:
        raise InputError(
            f"--workdir: {workdir} cannot be written ({error.strerror}): name another folder"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # NFS says EACCES for EAGAIN
            holder = file.read().strip() or "of unknown number"
            raise InputError(
                f"--workdir: {workdir} is in use by another run, process {holder}: wait until it "
                "ends, or name another workdir"
            ) from error
        except OSError as error:
            warn(
                f"{workdir} lies on a file system without locks ({error.strerror}): see to it "
                "that no second run uses it"
            )
        _sign(file)
        yield


def is_held(workdir: Path) -> bool:
    """Whether a process holds the workdir; False where there is none, or no locks to tell by."""
    try:
        with (workdir / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    return False


def _sign(file) -> None:
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} on host {socket.gethostname()}\n")
        file.flush()
    except OSError as error:
        warn(f"{file.name} cannot be written ({error.strerror})")
