"""Whole runs of the command under faults: kills, a second run, damage, a full disk.

`WAE_RNF_KILLS` sets how many times the run is killed, 2 unless set.
"""

import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.runs.test_sinks import files_of_at_most
from wae_rnf_jax import cli
from wae_rnf_jax.runs.snapshots import read_snapshot
from wae_rnf_jax.runs.workdir import fingerprint, read_config

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("WAE_RNF_KILLS", "2"))
STEPS_PER_EPOCH = 8
SMALL = {
    "data.num_sentences": (64, 12, 9),
    "data.num_buckets": 1,
    "model.embedding_dim": 6,
    "model.hidden_dim": 6,
    "train.batch_size": 8,
    "train.num_epochs": 2 + KILLS // 2,
    "train.eval_every": 5,
    "train.checkpoint_every": 2,
    "train.log_every": 3,
}
LAST = SMALL["train.num_epochs"] * STEPS_PER_EPOCH


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def arguments(workdir, cache):
    settings = {**SMALL, "data.cache_dir": cache}
    overrides = [f"--config.{key}={value}" for key, value in settings.items()]
    config = f"--config={ROOT}/configs/grammar/lm.py"
    return ["train", config, f"--workdir={workdir}", *overrides]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """A run that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    assert cli.main(arguments(workdir, cache)) == 0
    return workdir


def checkpoints(workdir):
    """Every checkpoint of a run by its name: (state with the key, progress)."""
    run = fingerprint(read_config(workdir))
    folder = workdir / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best", "latest"]
    return {
        path.relative_to(folder).as_posix(): read_snapshot(path, run=run)
        for path in folder.glob("*/*")
    }


def assert_equal_runs(workdir, whole):
    """Bit for bit the same checkpoints and, but for the speed, the same metrics."""
    found, wanted = checkpoints(workdir), checkpoints(whole)
    assert found.keys() == wanted.keys()
    assert f"latest/{LAST}" in found
    for name, (state, progress) in wanted.items():
        jax.tree.map(np.testing.assert_array_equal, found[name][0], state)
        assert found[name][1] == progress
    assert metrics(workdir) == metrics(whole)


def metrics(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in rows]


def steps_on_disk(workdir):
    names = [path.name for path in (workdir / "checkpoints" / "latest").glob("*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


class Kills(NamedTuple):
    """A run that was killed again and again, and what was seen of it."""

    workdir: Path
    codes: list[int]
    steps: list[int]  # on disk after each kill
    unfinished: int  # kills that left a part of a checkpoint
    second_code: int  # of a second run while the first one lived
    second_said: str
    first_pid: int
    home: Path


@pytest.fixture(scope="module")
def killed(tmp_path_factory, cache, whole):
    """Starts the command, kills it at a random moment, and so on; then lets it end."""
    home = tmp_path_factory.mktemp("home")
    workdir = home / "run"
    environment = {**os.environ, "HOME": str(home), "JAX_LOG_COMPILES": "1"}
    # The command chooses where compiled programs are kept, and finds what the tests have compiled.
    (home / ".cache" / "wae_rnf_jax").mkdir(parents=True)
    (home / ".cache" / "wae_rnf_jax" / "jax").symlink_to(
        environment.pop("JAX_COMPILATION_CACHE_DIR")
    )
    command = [sys.executable, "-m", "wae_rnf_jax.cli", *arguments(workdir, cache)]
    delays = random.Random(0)
    codes, steps, unfinished, second, first_pid = [], [], 0, None, None
    for kill in range(KILLS):
        log = (home / f"{kill}.log").open("w")
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log, stdout=log)
        try:
            # A third of the kills falls into the start, the others after some more checkpoints.
            more = 1 if kill == 0 else delays.choice([0, 1, 3])
            wait_for(process, workdir, steps_on_disk(workdir) + more)
            if second is None:
                first_pid = process.pid
                second = refused_second_run(workdir, cache)
            time.sleep(delays.uniform(0, 0.3))
        finally:
            process.kill()
            codes.append(process.wait())
            log.close()
        steps.append(steps_on_disk(workdir))
        unfinished += (workdir / "checkpoints" / ".unfinished").exists()
    assert cli.main(arguments(workdir, cache)) == 0
    return Kills(workdir, codes, steps, unfinished, *second, first_pid, home)


def wait_for(process, workdir, step):
    """Waits until the process has the workdir's lock and a checkpoint of the step is on disk."""
    deadline = time.monotonic() + 1800
    lock = workdir / "lock"
    while not (
        lock.exists()
        and lock.read_text().startswith(f"{process.pid} on host")
        and steps_on_disk(workdir) >= step
    ):
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refused_second_run(workdir, cache):
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr(sys, "stderr", type("Stderr", (), {"write": said.append, "flush": int}))
        code = cli.main(arguments(workdir, cache))
    return code, "".join(said)


@pytest.mark.slow
def test_killed_at_random_moments_a_run_ends_like_one_that_never_stopped(killed, whole):
    print(f"steps on disk: {killed.steps}; kills within a checkpoint: {killed.unfinished}")
    assert killed.codes == [-signal.SIGKILL] * KILLS
    assert killed.steps[0] > 0
    assert killed.steps[-1] < LAST
    assert killed.steps == sorted(killed.steps)
    assert_equal_runs(killed.workdir, whole)
    every = [(row["split"], row["step"]) for row in metrics(killed.workdir)]
    assert len(every) == len(set(every))


def test_a_second_run_on_a_workdir_is_refused_with_the_first_one_named(killed):
    assert killed.second_code == 2
    assert killed.second_said.count("\n") == 1
    assert f"is in use by another run, process {killed.first_pid} on host" in killed.second_said


def test_the_command_takes_compiled_programs_from_the_users_cache_folder(killed):
    log = (killed.home / "0.log").read_text()
    assert re.search("Persistent compilation cache hit for ", log), log[-2000:]


def test_a_damaged_newest_checkpoint_costs_only_time(whole, cache, tmp_path, capsys):
    workdir = shutil.copytree(whole, tmp_path / "run")
    before = steps_on_disk(workdir)
    for path in (workdir / "checkpoints").glob(f"*/{before}"):
        shutil.rmtree(path / "state")
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "split": "tr')
    assert cli.main(arguments(workdir, cache)) == 0
    assert f"latest/{before} is damaged" in capsys.readouterr().err
    assert_equal_runs(workdir, whole)


def test_no_whole_checkpoint_is_one_sentence_and_exit_code_2(whole, cache, tmp_path, capsys):
    workdir = shutil.copytree(whole, tmp_path / "run")
    for path in (workdir / "checkpoints").glob("*/*"):
        shutil.rmtree(path / "progress")
    assert cli.main(arguments(workdir, cache)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no checkpoint is intact" in said


def test_a_full_disk_costs_only_the_checkpoints_it_did_not_take(
    whole, cache, tmp_path, capsys, monkeypatch
):
    workdir = tmp_path / "run"
    save, calls = ocp.Checkpointer.save, itertools.count(1)
    num_saves = len({*range(2, LAST + 1, 2), *range(5, LAST + 1, 5), LAST})

    def on_a_full_disk(self, *args, **kwargs):
        call = next(calls)
        if call in (2, 3):  # steps 4 and 5, the second of which would be the best
            with files_of_at_most(1000):
                return save(self, *args, **kwargs)
        if call == num_saves:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return save(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.Checkpointer, "save", on_a_full_disk)
        assert cli.main(arguments(workdir, cache)) == 1
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    said = [line for line in errors.splitlines() if "wae-rnf:" in line]
    assert "step 4 could not be saved (File too large); training continues" in said[0]
    assert "step 5 could not be saved (File too large); training continues" in said[1]
    assert f"step {LAST} could not be saved (No space left on device): make room" in said[2]
    assert f"last good checkpoint: step {steps_on_disk(workdir)}, in" in said[2]
    assert len(said) == 3
    assert cli.main(arguments(workdir, cache)) == 0
    assert_equal_runs(workdir, whole)


def test_a_final_save_that_fails_on_a_signal_is_said(whole, cache, tmp_path, capsys, monkeypatch):
    def full(self, directory, args):
        os.kill(os.getpid(), signal.SIGTERM)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ocp.Checkpointer, "save", full)
    assert cli.main(arguments(tmp_path / "run", cache)) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "stopped at step 3 of" in said
    assert said.endswith("(No space left on device); last good checkpoint: none")
