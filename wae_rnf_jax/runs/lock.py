"""One run at a time in a workdir: the lock on the file `workdir/lock`, which stays."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.locks import Locked, is_locked, lock

NAME = "lock"


@contextmanager
def sole_use(workdir: Path) -> Iterator[None]:
    """Holds the workdir, made if missing, for this process alone.

    Where its file system has no locks, that is said, and keeping a second run away is left to the
    user.

    Args:
      workdir: folder of the run.

    Raises:
      InputError: another process holds it, or the folder cannot be made or written.
    """
    with ExitStack() as held:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            unlocked = "make sure that no other run uses it"
            held.enter_context(lock(workdir / NAME, unlocked=unlocked))
        except Locked as holder:
            raise InputError(
                f"--workdir: {workdir} is in use by another run, {holder}: wait until it ends, or "
                "name another workdir"
            ) from holder
        except OSError as error:
            raise InputError(
                f"--workdir: {workdir} cannot be written ({error.strerror}): name another folder"
            ) from error
        yield


def is_held(workdir: Path) -> bool:
    """Whether a process holds the workdir; False where there is none, or no locks to tell by."""
    return is_locked(workdir / NAME)
