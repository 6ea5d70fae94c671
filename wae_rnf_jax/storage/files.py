"""Files and folders that are there whole or not at all.

They are made under another name and renamed. Of several processes that would make the same folder,
which may be long work, one does, and the others wait and find it made.
"""

import glob
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.storage.locks import Locked, lock

__all__ = ["home_expanded", "new_directory", "new_file", "remove_unfinished"]

_PREPARING = ".preparing-"  # begins the name of a folder that is being made


def home_expanded(path: str, prefix: str = "") -> str:
    """Returns a path with `~` expanded; as it is where it names a user that there is not.

    Args:
      path: as the user gave it.
      prefix: of the message, such as the flag that gave it.

    Raises:
      InputError: it is in the home directory, and there is none.
    """
    expanded = os.path.expanduser(path)
    if path.startswith("~") and expanded == path and path.partition("/")[0] == "~":
        raise InputError(
            f"{prefix}{path} is in the home directory, but HOME is not set: set it, or name "
            "another folder"
        )
    return expanded


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Gives a file to write that takes its name only when it is complete and on disk.

    Until then, and if writing fails, `path` is what it was. After a kill, `remove_unfinished`
    removes what was written.

    Args:
      path: the file; its folder exists.

    Yields:
      The file, open for bytes.

    Raises:
      OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{_random()}.unfinished")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Removes what `new_file` left of files in a folder when their writers were killed.

    Args:
      folder: where the files are.
      names: of files that no living process is writing.
    """
    for name in names:
        for left in folder.glob(f".{glob.escape(name)}.*unfinished"):
            with suppress(OSError):
                left.unlink()


@contextmanager
def new_directory(directory: Path) -> Iterator[Path | None]:
    """Gives a folder to fill, renamed to `directory` in the end, removed on an error.

    While another process fills one for the same purpose, this one waits. What a killed process
    left is removed by the next one that makes a folder beside it.

    Args:
      directory: the folder to make.

    Yields:
      The folder to fill, beside it; None if `directory` is there already.

    Raises:
      InputError: it cannot be written.
    """
    temporary = None
    try:
        with _sole_maker(directory):
            if not directory.exists():
                temporary = directory.with_name(f"{_PREPARING}{directory.name}-{_random()}")
                temporary.mkdir()
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
    with lock(
        _lock_of(directory),
        waiting=lambda holder: warn(f"{holder} is preparing {directory}: waiting for it to finish"),
        unlocked="several processes that prepare the same folder each do all of the work",
        remove=True,
    ) as held:
        if held:
            _remove_leftovers(directory)
        yield


def _random() -> str:
    return uuid.uuid4().hex[:8]


def _lock_of(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.lock")


def _remove_leftovers(directory: Path) -> None:
    """Removes what killed processes left beside a folder whose lock this process holds."""
    for left in directory.parent.glob(f"{_PREPARING}*"):
        name = left.name.removeprefix(_PREPARING).rpartition("-")[0]
        if name == directory.name:
            shutil.rmtree(left, ignore_errors=True)
            continue
        with suppress(Locked, OSError), lock(_lock_of(left.with_name(name or "none")), remove=True):
            shutil.rmtree(left, ignore_errors=True)
