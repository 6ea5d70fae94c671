"""A folder on an object store, such as gs://bucket/run, reached through etils.epath.

Object stores have no folders, no renames and no locks: a file appears there as a whole when it is
written, and that is all there is to build on. What goes wrong in their clients is of any kind; here
it becomes a `RemoteError` of one sentence.
"""

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from etils import epath
from etils.epath.backend import fsspec_backend

from wae_rnf_jax.errors import InputError

SCHEMES = ("gs", "s3", "az")  # tests cover the first


class RemoteError(Exception):
    """The store did not do what was asked; the message says what it answered."""


def is_remote(name: str) -> bool:
    """Whether a path that a user gave is the URL of an object store."""
    return "://" in name


def checked_url(name: str, flag: str) -> str:
    """Returns a URL in its plain form.

    Args:
      name: as the user gave it.
      flag: that gave it, for the message.

    Raises:
      InputError: it is none that is supported.
    """
    scheme, _, place = name.partition("://")
    if scheme not in SCHEMES or not place.strip("/"):
        raise InputError(
            f"--{flag}: {name} is no folder that can be used: give one of this machine, or "
            "gs://BUCKET/FOLDER"
        )
    return f"{scheme}://{posixpath.normpath(place).strip('/')}"


class RemoteFolder:
    """The files under a URL, by their names relative to it.

    Every method raises RemoteError where the store fails, and InputError where the package that it
    needs is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = epath.Path(url)

    def names(self) -> list[str]:
        """Returns every file's name; none where there is no such folder."""
        self._forget_listings()
        found = []
        with self._failures("listed"), suppress(FileNotFoundError):
            for folder, _, files in self._root.walk(on_error=_raise):
                # The clients differ in what they put before the bucket's name.
                inner = os.fspath(folder).partition(self.url.partition("://")[2])[2].strip("/")
                found += [posixpath.join(inner, name) for name in files if name]
        return sorted(found)

    def read(self, name: str) -> bytes | None:
        """Returns a small file's content; None where it is missing."""
        # Not asked first whether it exists: the clients say no to that on any failure.
        self._forget_listings()
        with self._failures(f"read ({name})"):
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        with self._failures(f"written ({name})", missing="there is no such bucket"):
            (self._root / name).write_bytes(content)

    def upload(self, source: Path, name: str) -> None:
        """Copies a file of this machine to the folder."""
        if not source.is_file():
            raise RemoteError(f"{source} is missing")
        with self._failures(f"written ({name})", missing="there is no such bucket"):
            epath.Path(source).copy(self._root / name, overwrite=True)

    def download(self, name: str, target: Path) -> None:
        """Copies a file to this machine; FileNotFoundError where it is missing."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._failures(f"read ({name})"):
            (self._root / name).copy(target, overwrite=True)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with self._failures(f"removed ({name})"), suppress(FileNotFoundError):
            (self._root / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """Removes all files under a name, if there are any."""
        with self._failures(f"removed ({name})"), suppress(FileNotFoundError):
            (self._root / name).rmtree(missing_ok=True)

    def _forget_listings(self) -> None:
        """Lets the client see what other hosts wrote since it last looked."""
        with suppress(ImportError):  # then another client serves, or none, which the call will say
            fsspec_backend.fs(self.url).invalidate_cache()

    @contextmanager
    def _failures(self, done: str, *, missing: str | None = None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if missing is None:
                raise
            raise RemoteError(f"{self.url} cannot be {done}: {missing}") from error
        except ImportError as error:
            raise InputError(
                f"{self.url} needs a package that is missing ({error}): for gs://, install "
                "wae-rnf-jax[gcs]"
            ) from error
        except Exception as error:  # the clients' errors have no class in common
            reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
            raise RemoteError(f"{self.url} cannot be {done}: {reason.splitlines()[0]}") from error


def _raise(error: OSError) -> NoReturn:
    raise error
