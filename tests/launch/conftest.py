"""Runs the launchers, with programs of a cluster that are stand-ins or absent."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from command_runs import ROOT

# What the scripts need of the system; gcloud and the like are absent, wherever they lie.
TOOLS = "bash basename cat cp dirname git gzip mkdir mktemp nohup rm setsid sh sleep tail tar"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Launch:
    """Calls a launch script with the given variables and nothing else of a cluster."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in TOOLS.split():
            found = next(Path(p, name) for p in os.defpath.split(":") if Path(p, name).exists())
            (self.bin / name).symlink_to(found)

    def program(self, name: str, script: str) -> None:
        """Puts a stand-in on the PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)  # never written through a link
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def __call__(self, script: str, *arguments: str, **variables: str) -> Ended:
        result = subprocess.run(
            ["bash", ROOT / "launch" / script, *arguments],
            env={"PATH": str(self.bin), "HOME": str(self.bin.parent), **variables},
            cwd=self.bin.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Ended(result.returncode, result.stdout, result.stderr)

    def refusal(self, script: str, *arguments: str, **variables: str) -> str:
        """Calls a script that must refuse; returns its one sentence."""
        ended = self(script, *arguments, **variables)
        assert (ended.code, ended.out) == (2, ""), ended
        assert ended.err.count("\n") == 1, ended.err
        assert ended.err.startswith(f"{script}: "), ended.err
        return ended.err


@pytest.fixture
def launch(tmp_path):
    return Launch(tmp_path)
