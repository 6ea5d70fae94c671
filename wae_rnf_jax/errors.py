"""What goes wrong, and how the user is told."""

import difflib
import io
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

from tqdm import tqdm

__all__ = [
    "InputError",
    "TrainingFailed",
    "did_you_mean",
    "first_line",
    "progress_bar",
    "standard_error",
    "tell",
    "warn",
]


class InputError(ValueError):
    """Bad input by the user: a file, a setting, a name.

    The message is one clear sentence saying what is wrong, where, and what would be right. The
    command line prints it to standard error and exits with code 2, without a traceback.
    """


class TrainingFailed(RuntimeError):
    """Training could not reach its end; what is on disk is whole.

    The message is one clear sentence. The command line prints it to standard error and exits with
    code 1, without a traceback.
    """


class _StandardError:
    """Standard error as it is at the time; its loss, by a full disk for one, stops nothing."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str):
        return getattr(sys.stderr, name)


standard_error = _StandardError()  # of progress bars and warnings


class _ProgressLines(tqdm):
    """A progress bar for a file: a line now and then, in place of one drawn over another."""

    interval = 60.0  # seconds between lines
    _due = 0.0  # time of the next one
    _shown = (-1, "")  # steps and description that the last one told

    def __init__(self, **options) -> None:
        super().__init__(**{**options, "file": io.StringIO(), "dynamic_ncols": False})

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Writes a line if one is due; tqdm calls it whenever it would draw.

        What is done before the first step, as compiling, is told at once.
        """
        now, (steps, what) = time.monotonic(), self._shown
        waits = self.n == steps and self.desc not in ("", what)
        moved = self.n != steps and (now >= self._due or self.n == self.total)
        if waits or moved:
            standard_error.write(f"{self}\n")
            self._shown, self._due = (self.n, self.desc), now + self.interval
        return True

    def clear(self, nolock: bool = False) -> None:
        """Lines stay."""


def progress_bar(**options) -> tqdm:
    """A progress bar on standard error; where that is no terminal, a line now and then.

    Args:
      **options: those of tqdm.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        return tqdm(file=standard_error, dynamic_ncols=True, **options)
    return _ProgressLines(**options)


def tell(text: str) -> None:
    """Prints on standard output; that nobody reads there any more, as after `head`, stops nothing.

    Args:
      text: one line or several.
    """
    with suppress(OSError):
        print(text, flush=True)


def warn(message: str) -> None:
    """Prints one sentence on standard error, above a progress bar; work goes on after it.

    What would begin a line or move the cursor, as a name may hold, is written as an escape.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    tqdm.write(f"wae-rnf: {shown}", file=standard_error)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


def did_you_mean(name: str, names: Iterable[str], *, prefix: str = "") -> str:
    """The end of a message about a mistyped name; empty where nothing is like it."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
