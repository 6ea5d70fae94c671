import os
import signal
import subprocess
import sys
import time

from command_runs import ROOT, train_arguments


def test_ctrl_c_saves_and_says_how_to_resume(text_folder, tmp_path):
    workdir = tmp_path / "run"
    changes = {"train.num_epochs": 4000, "train.eval_every": 100_000, "train.log_every": 1}
    command = [sys.executable, "-m", "wae_rnf_jax.cli"]
    process = subprocess.Popen(
        [*command, *train_arguments(text_folder, workdir, "lm", **changes)],
        cwd=ROOT,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    last = errors.strip().splitlines()[-1]
    assert "stopped and saved at step" in last
    assert last.endswith("the same command resumes it")
    assert list((workdir / "checkpoints" / "latest").iterdir())
