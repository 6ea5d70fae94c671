"""What goes wrong, and how the user is told."""

import difflib
import sys
from collections.abc import Iterable
from contextlib import suppress

from tqdm import tqdm

__all__ = [
    "InputError",
    "TrainingFailed",
    "did_you_mean",
    "first_line",
    "standard_error",
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


def warn(message: str) -> None:
    """Prints one sentence on standard error, above a progress bar; work goes on after it."""
    tqdm.write(f"wae-rnf: {message}", file=standard_error)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop; its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


def did_you_mean(name: str, names: Iterable[str], *, prefix: str = "") -> str:
    """The end of a message about a mistyped name; empty where nothing is like it."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
