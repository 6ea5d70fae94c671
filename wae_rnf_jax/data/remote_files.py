"""Corpora in an object store (gs:// and what else etils.epath knows), by way of a local disk.

What is read is copied first: a corpus is mapped into memory, which takes a file of this machine.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import fsspec
from etils import epath

from wae_rnf_jax.data.manifest import MANIFEST, restore_stamps
from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.storage.files import new_directory

__all__ = [
    "fetch_corpus",
    "is_remote",
    "local_cache",
    "local_copy",
    "publish_corpus",
    "remote_names",
]

# What fsspec needs to reach each kind of store.
_PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}
_LOCAL_CACHE = "~/.cache/wae_rnf_jax"


def is_remote(path: str) -> bool:
    """Whether a path is an address in an object store."""
    return path.startswith(tuple(f"{scheme}://" for scheme in _PACKAGES))


def local_cache(cache_dir: str) -> Path:
    """The folder of this machine in which prepared corpora are mapped.

    Args:
        cache_dir: where they are kept, here or in a store.

    Returns:
        ``cache_dir``, or for one in a store ``~/.cache/wae_rnf_jax``.
    """
    return Path(_LOCAL_CACHE if is_remote(cache_dir) else cache_dir).expanduser()


def remote_names(url: str) -> list[str]:
    """Files below a folder of a store.

    Args:
        url: the folder.

    Returns:
        Their paths relative to it, sorted.

    Raises:
        InputError: if the store cannot be reached.
    """

    def below(folder: epath.Path, prefix: str) -> Iterator[str]:
        for entry in folder.iterdir():
            if entry.is_dir():
                yield from below(entry, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name

    with _reaching(url):
        return sorted(below(epath.Path(url), ""))


def local_copy(url: str, names: Sequence[str], cache: Path) -> Path:
    """Copies files of a store to the local cache, unless it has them as they are there now.

    Args:
        url: a folder of the store.
        names: paths relative to it.
        cache: the local cache.

    Returns:
        The local folder, with the files under the same names.

    Raises:
        InputError: if a file is missing, the store cannot be reached, or the cache be written.
    """
    with _reaching(url):
        system, root = fsspec.url_to_fs(url)
        state, missing = [], []
        for name in names:
            try:
                # Size, checksum or generation, time of change: what the store tells of the content.
                state.append((name, system.ukey(f"{root}/{name}")))
            except FileNotFoundError:
                missing.append(name)
        if missing:
            raise InputError(f"{url} has no {' and no '.join(missing)}")
    digest = hashlib.sha256(json.dumps([url, state]).encode()).hexdigest()
    directory = cache / f"files-{digest[:16]}"
    with new_directory(directory) as temporary:
        if temporary is not None:
            _download(url, names, temporary)
    return directory


def fetch_corpus(url: str, directory: Path) -> bool:
    """Copies a prepared corpus from a store.

    Args:
        url: its folder there.
        directory: an empty folder.

    Returns:
        Whether the store has it.

    Raises:
        InputError: if it is damaged, or the store cannot be reached.
    """
    with _reaching(url):
        # Not asked first whether it exists: the stores' clients say no to that on any failure.
        try:
            text = (epath.Path(url) / MANIFEST).read_text()
        except FileNotFoundError:
            return False
    damaged = InputError(f"{url} is damaged: delete it, and it is prepared again")
    try:
        names = [*json.loads(text)["files"], MANIFEST]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    _download(url, names, directory)
    try:
        restore_stamps(directory)
    except InputError as error:
        raise damaged from error
    return True


def publish_corpus(directory: Path, url: str) -> None:
    """Copies a prepared corpus into a store, its manifest last: with it, it is whole.

    Where that fails it is said, for the corpus can be used all the same.

    Args:
        directory: its folder.
        url: its folder in the store.
    """
    names = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
    try:
        with _reaching(url):
            for name in (*names, MANIFEST):
                target = epath.Path(url) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with (directory / name).open("rb") as source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
    except InputError as error:
        warn(f"{error}; the prepared corpus is kept on this machine alone")


def _download(url: str, names: Sequence[str], directory: Path) -> None:
    for name in names:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            for block in _blocks(f"{url}/{name}"):
                stream.write(block)


def _blocks(url: str) -> Iterator[bytes]:
    with _reaching(url), epath.Path(url).open("rb") as stream:
        while block := stream.read(1 << 20):
            yield block


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Tells in one sentence what a store, by whatever library, has against a request."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        package = _PACKAGES[url.partition("://")[0]]
        raise InputError(
            f"{url} needs the package {package}, which is not installed: pip install {package}"
        ) from error
    except Exception as error:  # each store's library has errors of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"cannot reach {url} ({reason})") from error
