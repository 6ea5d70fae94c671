"""The launcher of several processes; tests/training/test_hosts_faults.py has it train."""

import subprocess
import sys
from pathlib import Path

LAUNCHER = Path(__file__).parents[2] / "launch" / "local_multiprocess.py"


def launched(*words):
    return subprocess.run(
        [sys.executable, LAUNCHER, *words], capture_output=True, text=True, timeout=120
    )


def test_a_dry_run_prints_the_command_of_each_process():
    options = ("--num_processes=2", "--devices_per_process=3", "--port=1234", "--dry_run")
    ended = launched(*options, "--", "train", "--workdir=a b")
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert len(lines) == 2
    for process, line in enumerate(lines):
        assert "JAX_NUM_CPU_DEVICES=3" in line
        assert "-m wae_rnf_jax train '--workdir=a b' --coordinator_address=127.0.0.1:1234" in line
        assert line.endswith(f"--num_processes=2 --process_id={process}")


def test_a_process_that_fails_is_named_and_gives_the_exit_code():
    ended = launched("--num_processes=2", "--", "trian")
    assert ended.returncode == 2
    assert "local_multiprocess: process" in ended.stderr
    assert "exited with code 2; see its message above" in ended.stderr
    assert "\n[1] wae-rnf: unknown command 'trian'" in f"\n{ended.stderr}"


def test_a_missing_command_is_said():
    ended = launched("--num_processes=2")
    assert ended.returncode == 2
    assert "the command is missing: -- train" in ended.stderr
