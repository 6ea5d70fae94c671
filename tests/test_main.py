"""The program's standard streams."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRINTING = """
from unittest import mock
from wae_rnf_jax import __main__, cli

def main():
    print("שלום", "a cat", "naïve")
    print("また")

with mock.patch.object(cli, "main", main):
    __main__.main()
"""


def printed(encoding):
    return subprocess.run(
        [sys.executable, "-c", PRINTING],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )


def test_what_the_output_cannot_say_is_escaped_and_that_is_said_once():
    found = printed("ascii")
    assert found.stdout.decode("ascii").splitlines() == [
        r"\u05e9\u05dc\u05d5\u05dd a cat na\xefve",
        r"\u307e\u305f",
    ]
    said = found.stderr.decode().splitlines()
    assert len(said) == 1
    assert said[0].startswith(
        "wae-rnf: standard output uses the encoding ascii, and characters that it lacks are written"
    )


def test_what_it_can_say_is_written_as_it_is():
    found = printed("utf-8")
    assert found.stdout.decode().splitlines() == ["שלום a cat naïve", "また"]
    assert found.stderr == b""
