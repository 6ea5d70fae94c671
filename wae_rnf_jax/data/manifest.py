"""What a corpus directory says of itself.

It holds the vocabulary, the tokenizer where it is not the default, a folder of arrays for each
split, and ``corpus.json`` with the SHA-256 of every file: what was cut short, or edited, is found
when the corpus is opened. A large file whose size and time of change are those of its writing is
taken to be as it was written, for reading gigabytes would cost every start seconds; a thorough
check reads it all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wae_rnf_jax.data.digests import file_digest, large_file_stamp
from wae_rnf_jax.data.vocabulary import TOKENIZER, VOCABULARY
from wae_rnf_jax.errors import InputError

__all__ = [
    "MANIFEST",
    "file_digests",
    "read_manifest",
    "restore_stamps",
    "write_manifest",
]

MANIFEST = "corpus.json"
FORMAT = 1


def file_digests(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files.

    Args:
      directory: folder they are in.
      names: their paths relative to it.

    Returns:
      The digest of each, in hexadecimal.

    Raises:
      InputError: if a file cannot be read.
    """
    return {name: file_digest(directory / name) for name in names}


def write_manifest(
    directory: Path, content: Mapping[str, object], *, fingerprint: str | None = None
) -> None:
    """Writes ``corpus.json`` beside a corpus's files: their digests, and ``content``.

    Args:
      directory: folder of the corpus, complete but for this file.
      content: what else the manifest shall say.
      fingerprint: of the corpus these files are part of; if None, they are all of it, and the
        fingerprint is made from them.
    """
    names = sorted(
        path.relative_to(directory).as_posix()
        for path in (directory / VOCABULARY, directory / TOKENIZER, *directory.glob("*/*.npy"))
        if path.exists()
    )
    files = file_digests(directory, names)
    if fingerprint is None:
        fingerprint = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    stamps = {name: stamp for name in names if (stamp := large_file_stamp(directory / name))}
    manifest = {"format": FORMAT, "fingerprint": fingerprint, **content, "files": files}
    text = json.dumps(manifest | {"stamps": stamps}, indent=2)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path, *, thorough: bool = False) -> dict:
    """Reads ``corpus.json`` and checks every file against it.

    Args:
      directory: folder of the corpus.
      thorough: whether files are read that look untouched, too.

    Returns:
      The manifest.

    Raises:
      InputError: if the manifest is missing, unreadable or of another format, or a file is
        missing or not as it was written; it names the file.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
        files = {str(name): str(digest) for name, digest in manifest["files"].items()}
        stamps = dict(manifest.get("stamps", {}))  # earlier versions wrote none
        complete = {"fingerprint", "labels", "skipped"} <= manifest.keys() and files
    except FileNotFoundError as error:
        raise InputError(f"{directory} holds no prepared corpus (no {MANIFEST})") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged; delete {directory} and prepare it again") from error
    if version != FORMAT or not complete:
        raise InputError(
            f"{path} is not a manifest of format {FORMAT}; delete {directory} and prepare it again"
        )
    doubtful = [
        name
        for name in files
        if thorough or name not in stamps or large_file_stamp(directory / name) != stamps[name]
    ]
    for name, digest in file_digests(directory, doubtful).items():
        if digest != files[name]:
            raise InputError(
                f"{os.fspath(directory / name)} has changed since it was written; delete "
                f"{directory}, and the same `wae-rnf train` recreates it"
            )
    return manifest


def restore_stamps(directory: Path) -> None:
    """Gives the files of a corpus that was copied, and checked, their times of change again."""
    manifest = read_manifest(directory, thorough=True)
    for name, (_, changed) in manifest.get("stamps", {}).items():
        os.utime(directory / name, ns=(changed, changed))
