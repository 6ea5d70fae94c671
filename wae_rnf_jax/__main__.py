"""The program, as `wae-rnf` or `python -m wae_rnf_jax`: what is due before anything is imported."""

import codecs
import os
import sys
from contextlib import suppress

_INTERRUPTED = (130, 143)  # by SIGINT, by SIGTERM


def main() -> int:
    """Runs the command line; returns the exit code."""
    _open_standard_streams()
    try:
        from wae_rnf_jax import cli

        code = cli.main()
        if code in _INTERRUPTED:
            _leave(code)
        return code
    except KeyboardInterrupt:  # while the above was imported; later, `cli.main` answers
        print("wae-rnf: interrupted", file=sys.stderr)
        return 130


def _leave(code: int) -> None:
    """Ends the process at once: XLA would first finish what it compiles or computes.

    All that is tidied up has been. The processes of a job end in order instead.
    """
    jax = sys.modules.get("jax")
    if jax is None or jax.distributed.is_initialized():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _open_standard_streams() -> None:
    """Sees to it that no file opened later takes the number of a closed standard stream.

    Libraries write their messages to numbers 1 and 2, whatever these are.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is not None:  # a character that the terminal lacks is no reason to stop
        codecs.register_error("escaped", _escaped)
        sys.stdout.reconfigure(errors="escaped")


_said: list[str] = []  # encodings of which it was said that they lack characters


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Writes what an encoding lacks as \u…, which is said once."""
    if error.encoding not in _said:
        _said.append(error.encoding)
        print(
            f"wae-rnf: standard output uses the encoding {error.encoding}, and characters that it "
            "lacks are written as \\u…: set PYTHONIOENCODING=utf-8 to see them",
            file=sys.stderr,
        )
    return codecs.backslashreplace_errors(error)


if __name__ == "__main__":
    sys.exit(main())
