"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Gives a file to write that takes its name only when it is complete and on disk.

    Until then, and if writing fails, `path` is what it was.

    Args:
        path: the file; its folder exists.

    Yields:
        The file, open for bytes.

    Raises:
        OSError: if it cannot be written.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's own is private to the user
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
