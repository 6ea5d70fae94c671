"""What is true of every shell script of the project."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import ROOT

SHELLCHECK = [Path(sys.executable).with_name("shellcheck"), "--external-sources"]


def scripts():
    found = [*ROOT.glob("launch/*.sh"), *ROOT.glob("launch/*.sbatch"), *ROOT.glob(".ci/run")]
    return sorted(path for path in found if path.is_file())


def test_shellcheck_finds_nothing():
    assert {"cluster.sh", "demo.sh", "slurm.sbatch", "tpu_vm.sh"} <= {p.name for p in scripts()}
    command = [*SHELLCHECK, "--source-path=SCRIPTDIR", "--source-path=SCRIPTDIR/..", *scripts()]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_shellcheck_finds_a_planted_fault(tmp_path):
    (tmp_path / "a.sh").write_text("#!/bin/sh\nrm $1\n")
    result = subprocess.run([*SHELLCHECK, tmp_path / "a.sh"], capture_output=True, check=False)
    assert b"SC2086" in result.stdout


@pytest.mark.parametrize("words", [["a"], ["it's", "a b", "", "$x", "*", "a\nb", "--x=~"]])
def test_what_a_dry_run_prints_is_the_same_command_to_a_shell(words):
    script = f'source {ROOT}/launch/cluster.sh; quoted "$@"'
    line = subprocess.check_output(["bash", "-c", script, "-", *words], text=True)
    read = subprocess.check_output(["sh", "-c", f"printf '%s\\0' {line}"], text=True)
    assert read.split("\0")[:-1] == words
