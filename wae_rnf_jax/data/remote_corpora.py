"""Prepared corpora in an object store, by way of a local disk.

A corpus is mapped into memory, which takes a file of this machine.
"""

import json
from pathlib import Path

from wae_rnf_jax.data.manifest import MANIFEST, restore_stamps
from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.storage.files import home_expanded
from wae_rnf_jax.storage.object_store import RemoteFolder, is_remote

__all__ = ["fetch_corpus", "local_cache", "publish_corpus"]

_LOCAL_CACHE = "~/.cache/wae_rnf_jax"


def local_cache(cache_dir: str) -> Path:
    """Returns the folder of this machine in which prepared corpora are mapped.

    Args:
      cache_dir: where they are kept, here or in a store; for a store it is `~/.cache/wae_rnf_jax`.

    Raises:
      InputError: it is in a home directory, and there is none.
    """
    return Path(home_expanded(_LOCAL_CACHE if is_remote(cache_dir) else cache_dir))


def fetch_corpus(url: str, directory: Path) -> bool:
    """Copies a prepared corpus from a store; returns whether the store has it.

    Args:
      url: its folder there.
      directory: an empty folder.

    Raises:
      InputError: it is damaged, or the store cannot be reached.
    """
    remote = RemoteFolder(url)
    content = remote.read(MANIFEST)
    if content is None:
        return False
    damaged = InputError(f"{url} is damaged: delete it, and it will be prepared again")
    try:
        names = [*json.loads(content)["files"], MANIFEST]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    try:
        for name in names:
            remote.download(name, directory / name)
    except FileNotFoundError as error:
        raise damaged from error
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
        for name in (*names, MANIFEST):
            RemoteFolder(url).upload(directory / name, name)
    except InputError as error:
        warn(f"{error}; the prepared corpus is kept only on this machine")
