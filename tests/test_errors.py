"""What an error is called in a message."""

import os
import sys

import pytest

from wae_rnf_jax.errors import first_line, tell, warn


@pytest.mark.parametrize(
    "error, said",
    [
        (ValueError("\nno such axis.\nTraceback: …"), "no such axis"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (AssertionError(), "AssertionError"),
        (RuntimeError(" \n"), "RuntimeError"),
    ],
)
def test_the_first_line_of_an_error_is_never_empty(error, said):
    assert first_line(error) == said


def test_a_sentence_is_one_line_whatever_it_names(capsys):
    warn("there is no \r\x1b[2Jname\n\x1e\x85\u2028of Größe 名")
    said = capsys.readouterr().err
    assert said == "wae-rnf: there is no \\r\\x1b[2Jname\\n\\x1e\\x85\\u2028of Größe 名\n"


def test_nobody_has_to_read_what_is_told(capfd, monkeypatch):
    tell("one\ntwo")
    assert capfd.readouterr().out == "one\ntwo\n"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        tell("three")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)  # what is left is dropped
