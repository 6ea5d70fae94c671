"""What goes wrong, and how the user is told."""

import sys
from contextlib import suppress

from tqdm import tqdm

__all__ = ["InputError", "TrainingFailed", "warn"]


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


def warn(message: str) -> None:
    """Prints one sentence on standard error, above a progress bar; work goes on after it."""
    with suppress(OSError):  # standard error may be a file on the disk that is full
        tqdm.write(f"wae-rnf: {message}", file=sys.stderr)
