"""Places that metrics are written to: files that may be slow, full or gone.

Each is written by a thread of its own. Training hands lines over and never waits for long; what
goes wrong is said once on standard error, and training continues.
"""

import errno
import json
import math
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from wae_rnf_jax.errors import first_line, warn

CAPACITY = 1000  # lines that wait for a slow place before further ones are dropped
PATIENCE = 10.0  # seconds that training waits for a slow place, once


class Line(NamedTuple):
    """Metrics of one interval or validation."""

    split: str
    step: int
    values: Mapping[str, float]


class Sink:
    """A thread that writes lines, one after the other, whatever becomes of them.

    Args:
      name: of the place, for what is said of it.
      write: called with each line; its method `close`, where it has one, is called at the end.
    """

    def __init__(self, name: str, write: Callable[[Line], None]) -> None:
        self._name, self._write = name, write
        self._waiting: queue.Queue[Line | threading.Event | None] = queue.Queue(CAPACITY)
        self._reached = threading.Event()  # set once all before the last wait is written
        self._reached.set()
        self._said = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, line: Line | threading.Event | None) -> bool:
        """Hands a line over; returns whether there was room for it."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._say("it is slower than training, so lines are lost")
            return False
        return True

    def wait(self) -> None:
        """Waits until what was handed over is written; not for long, and for a hung place once."""
        if not self._reached.is_set():
            return
        mark = threading.Event()
        if self.put(mark):
            self._reached = mark
            if not mark.wait(PATIENCE):
                self._say(f"it does not answer within {PATIENCE:g} s")

    def close(self) -> None:
        """Waits like `wait` and ends the thread."""
        self.wait()
        if self.put(None) and self._reached.is_set():
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                self._say(f"it does not end within {PATIENCE:g} s")

    def _run(self) -> None:
        while (line := self._waiting.get()) is not None:
            if isinstance(line, threading.Event):
                line.set()
            else:
                self._try(self._write, line)
        self._try(getattr(self._write, "close", lambda: None))

    def _try(self, call: Callable[..., None], *args: Line) -> None:
        try:
            call(*args)
        except Exception as error:  # no error of any kind may end the thread
            self._say(getattr(error, "strerror", None) or first_line(error))

    def _say(self, what: str) -> None:
        if not self._said:
            self._said = True
            warn(f"{self._name} cannot be written ({what}); training continues")


class JsonLines:
    """Appends lines to a file, whole ones only; what it did not take is tried with the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unwritten = b""
        self._begun = False

    def __call__(self, line: Line) -> None:
        """Writes the line and those that wait; raises OSError where that fails."""
        values = {name: float(value) for name, value in line.values.items()}
        content = {"step": line.step, "split": line.split, **values}
        self._unwritten += json.dumps(content).encode() + b"\n"
        begun, self._begun = self._begun, False
        if begun and not self._path.exists():  # else it would begin anew in silence
            raise FileNotFoundError(errno.ENOENT, "it was deleted")
        with self._path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                left = memoryview(self._unwritten)
                while left:
                    left = left[file.write(left) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
        self._unwritten, self._begun = b"", True


class TensorBoard:
    """Writes TensorBoard's event files.

    tensorboardX's own writer hands events to a thread through a short queue: when that thread dies
    of a full disk, the queue fills and the caller hangs. So its file format alone is used.
    """

    def __init__(self, directory: Path, *, first_step: int) -> None:
        self._directory = directory.absolute()  # of s3:a/b the writer would make a bucket's name
        self._first_step = first_step
        self._writer: RecordWriter | None = None
        self._begun = False

    def __call__(self, line: Line) -> None:
        """Writes the finite values; raises OSError where that fails, and begins a new file then."""
        summary = Summary(
            value=[
                Summary.Value(tag=f"{line.split}/{name}", simple_value=float(value))
                for name, value in line.values.items()
                if math.isfinite(value)
            ]
        )
        writer, self._writer = self._writer or self._new_file(), None
        try:
            if not os.path.exists(writer.path):
                raise FileNotFoundError(errno.ENOENT, "it was deleted")
            _write_event(writer, step=line.step, summary=summary)
            writer.flush()
        except Exception:
            with suppress(OSError):  # left to its destructor, it would fail there once more, aloud
                writer.close()
            raise
        self._writer = writer

    def _new_file(self) -> RecordWriter:
        self._directory.mkdir(parents=True, exist_ok=True)
        # The name holds the second it was made in; a number keeps it from overwriting another.
        present = len(list(self._directory.iterdir()))
        made = f"{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.{present}"
        writer = RecordWriter(str(self._directory / f"events.out.tfevents.{made}"))
        _write_event(writer, file_version="brain.Event:2")
        if not self._begun:  # hides what an earlier process wrote of the steps to come
            start = SessionLog(status=SessionLog.START)
            _write_event(writer, step=self._first_step + 1, session_log=start)
        self._begun = True
        return writer


def _write_event(writer: RecordWriter, **content: Any) -> None:
    writer.write(Event(wall_time=time.time(), **content).SerializeToString())
