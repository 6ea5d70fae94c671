"""A stand-in for gs://, without a network: fsspec finds it where it would find gcsfs."""

import io
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from wae_rnf_jax.runs import lease, mirror


class _Object(io.BytesIO):
    """Is there, as a whole, once it is closed; of a program that was killed nothing is there."""

    def __init__(self, path: Path, part: Path) -> None:
        super().__init__()
        self._path, self._part = path, part

    def close(self):
        if not self.closed:
            self._part.write_bytes(self.getvalue())
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._part.replace(self._path)
        super().close()


class Bucket(LocalFileSystem):
    """gs://BUCKET/NAME is the file BUCKET/NAME of a folder; folders come and go with their files.

    `on_write` is called with the name of each file before it is written, and may raise; `reads` are
    the names of the files that were read.
    """

    protocol = ("gs", "gcs")
    cachable = False
    folder = Path("/nowhere")
    on_write = staticmethod(lambda name: None)
    reads: ClassVar[list[str]] = []

    def __init__(self, **options):
        super().__init__()

    @classmethod
    def _strip_protocol(cls, path):
        path = str(path)
        if path.startswith("gs://"):
            path = f"{cls.folder}/{path.removeprefix('gs://')}"
        return super()._strip_protocol(path)

    def _open(self, path, mode="rb", **options):
        name = str(path).removeprefix(f"{self.folder}/")
        if "w" in mode:
            self.on_write(name)
            return _Object(Path(path), self.folder.with_name(f"part-{uuid.uuid4().hex}"))
        self.reads.append(name)
        return super()._open(path, mode, **options)

    def put_file(self, path1, path2, **options):
        self.pipe_file(path2, Path(path1).read_bytes())

    def get_file(self, path1, path2, **options):
        Path(path2).write_bytes(self.cat_file(path1))

    # As the stores' clients have it, which read patterns into names here.
    rm = AbstractFileSystem.rm

    def rm_file(self, path):
        super().rm_file(path)
        for folder in Path(self._strip_protocol(path)).parents:
            if folder == self.folder:
                break
            with suppress(OSError):  # it still holds something
                folder.rmdir()


def install_bucket(folder: Path, home: Path, patch: pytest.MonkeyPatch) -> type[Bucket]:
    """Puts gs:// into a folder, and the mirrors into another; leases live a second."""
    folder.mkdir()
    patch.setattr(Bucket, "folder", folder)
    patch.setattr(Bucket, "reads", [])
    for name in Bucket.protocol:
        patch.setitem(sys.modules["fsspec.registry"]._registry, name, Bucket)
    patch.setattr(mirror, "DIRECTORY", str(home))
    for name, seconds in (("BEAT", 0.1), ("LIFE", 1.0), ("SETTLE", 0.02), ("LOOK", 0.05)):
        patch.setattr(lease, name, seconds)
    return Bucket
