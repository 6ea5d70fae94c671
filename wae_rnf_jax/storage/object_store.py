"""Folders on an object store, such as gs://bucket/run, reached through fsspec.

Object stores have no folders, no renames and no locks: a file appears there as a whole when it is
written, and that is all there is to build on. What goes wrong in their clients is of any kind; here
it becomes a `RemoteError` of one sentence.

Of fsspec, only what takes a name as it is: the rest reads patterns into names, so that removing
`job[3]` would remove `job3`.
"""

import hashlib
import json
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec

from wae_rnf_jax.errors import InputError, first_line
from wae_rnf_jax.storage.files import new_directory

__all__ = ["RemoteError", "RemoteFolder", "cached_file", "checked_url", "is_remote"]

# What fsspec needs to reach each kind of store; tests cover the first.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}


class RemoteError(InputError):
    """The store did not do what was asked; the message says what it answered."""


def is_remote(name: str) -> bool:
    """Whether a path that a user gave is the URL of an object store."""
    return "://" in name


def checked_url(name: str, schemes: Sequence[str] = tuple(PACKAGES)) -> str:
    """Returns a URL in its plain form.

    Args:
      name: as the user gave it.
      schemes: of the stores that will do.

    Raises:
      InputError: it is none of these.
    """
    scheme, _, place = name.partition("://")
    if scheme not in schemes or not place.strip("/"):
        raise InputError(
            f"{name} is not a usable folder: give a local folder or gs://BUCKET/FOLDER"
        )
    return f"{scheme}://{posixpath.normpath(place).strip('/')}"


class RemoteFolder:
    """The files under a URL, by their names relative to it.

    Every method raises RemoteError where the store fails, and InputError where the package that it
    needs is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = checked_url(url)

    def names(self, under: str = "") -> list[str]:
        """Returns every file's name, or those that begin with a folder's; there may be none."""
        with self._store("listed") as store:
            store.invalidate_cache()  # to see what other hosts wrote since it last looked
            folder, prefix = (f"{self.url}/{under}", f"{under}/") if under else (self.url, "")
            return sorted(_names(store, folder, prefix))

    def read(self, name: str) -> bytes | None:
        """Returns a small file's content; None where it is missing."""
        # Not asked first whether it exists: the clients say no to that on any failure.
        with self._store(f"read ({name})") as store, suppress(FileNotFoundError):
            store.invalidate_cache()
            return store.cat_file(f"{self.url}/{name}")
        return None

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        with self._store(f"written ({name})", missing="there is no such bucket") as store:
            store.pipe_file(f"{self.url}/{name}", content)

    def upload(self, source: Path, name: str) -> None:
        """Copies a file of this machine to the folder."""
        if not source.is_file():
            raise RemoteError(f"{source} is missing")
        with self._store(f"written ({name})", missing="there is no such bucket") as store:
            store.put_file(str(source), f"{self.url}/{name}")

    def download(self, name: str, target: Path) -> None:
        """Copies a file to this machine; FileNotFoundError where it is missing."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._store(f"read ({name})") as store:
            store.get_file(f"{self.url}/{name}", str(target))

    def cached(self, names: Sequence[str], cache: Path) -> Path:
        """Copies files to a cache of this machine, unless it has them as they are there now.

        Args:
          names: the files.
          cache: a folder for such copies.

        Returns:
          A folder with the files under the same names.

        Raises:
          InputError: a file is missing, or the cache cannot be written.
        """
        state, missing = [], []
        with self._store("read") as store:
            store.invalidate_cache()
            for name in names:
                try:
                    # Size, checksum or generation, time of change: what tells of the content.
                    state.append((name, store.ukey(f"{self.url}/{name}")))
                except FileNotFoundError:
                    missing.append(name)
        if missing:
            raise InputError(f"{self.url} has no {' and no '.join(missing)}")
        digest = hashlib.sha256(json.dumps([self.url, state]).encode()).hexdigest()
        directory = cache / f"files-{digest[:16]}"
        with new_directory(directory) as temporary:
            if temporary is not None:
                for name in names:
                    self.download(name, temporary / name)
        return directory

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with self._store(f"removed ({name})") as store, suppress(FileNotFoundError):
            store.rm_file(f"{self.url}/{name}")

    def remove_folder(self, name: str) -> None:
        """Removes all files under a name, if there are any."""
        for file in self.names(name):
            self.remove(file)

    @contextmanager
    def _store(
        self, done: str, *, missing: str | None = None
    ) -> Iterator[fsspec.AbstractFileSystem]:
        """Gives the store's client, and says in one sentence what it has against a request."""
        scheme = self.url.partition("://")[0]
        try:
            # An object of a zonal bucket of Google's is whole only once it is finalized.
            yield fsspec.filesystem(scheme, **{"finalize_on_close": True} if scheme == "gs" else {})
        except FileNotFoundError as error:
            if missing is None:
                raise
            raise RemoteError(f"{self.url} cannot be {done}: {missing}") from error
        except ImportError as error:
            package = PACKAGES[scheme]
            raise InputError(
                f"{self.url} needs the package {package}, which is not installed: pip install "
                f"{package}"
            ) from error
        except Exception as error:  # the clients' errors have no class in common
            reason = getattr(error, "strerror", None) or first_line(error)
            raise RemoteError(f"{self.url} cannot be {done}: {reason}") from error


def cached_file(path: str, cache: Path) -> Path:
    """A copy of a single file on this machine, as `RemoteFolder.cached` keeps it.

    Args:
      path: of the file, in a store.
      cache: a folder for such copies.

    Returns:
      The copy.

    Raises:
      InputError: as `RemoteFolder.cached`.
    """
    folder, _, name = path.rpartition("/")
    return RemoteFolder(folder).cached([name], cache) / name


def _names(store: fsspec.AbstractFileSystem, folder: str, prefix: str) -> Iterator[str]:
    """The files under a folder, each with the prefix; an error, deep down too, is no empty list."""
    try:
        entries = store.ls(folder, detail=True)
    except FileNotFoundError:
        return
    itself = store._strip_protocol(folder).strip("/")  # as an object, which some tools make
    for entry in entries:
        path = entry["name"].strip("/")
        name = path.rpartition("/")[2]
        if entry["type"] == "directory" and path != itself:
            yield from _names(store, f"{folder}/{name}", f"{prefix}{name}/")
        elif path != itself:
            yield prefix + name
