"""Real runs in two processes of two devices: what they share, and what their end leaves."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from tests.training.job import (
    HEARTBEAT,
    LAST,
    ROOT,
    SMALL,
    Job,
    alone,
    arguments,
    environment,
    metrics,
    said,
    steps_on_disk,
)
from wae_rnf_jax.runs.snapshots import read_snapshot
from wae_rnf_jax.runs.workdir import fingerprint, read_config

pytestmark = pytest.mark.slow
GRACE = 5


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def of_one(tmp_path_factory, cache):
    """A run of one process on four devices, which nothing disturbed."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    ended = alone(arguments(workdir, cache), 4)
    assert ended.code == 0, ended.output
    return workdir


@pytest.fixture(scope="module")
def of_two(tmp_path_factory, cache):
    """The same of two processes, by pmap; with what they said."""
    folder = tmp_path_factory.mktemp("two")
    words = arguments(folder / "run", cache)
    ended = Job(folder, (words, words)).wait()
    assert [x.code for x in ended] == [0, 0], ended
    return folder / "run", ended


def last_state(workdir):
    path = workdir / "checkpoints" / "latest" / str(LAST)
    return read_snapshot(path, run=fingerprint(read_config(workdir)))


def assert_same_numbers(workdir, expected, splits=("train", "valid")):
    """The same sentences in the same steps: the metrics differ by rounding alone."""
    found, wanted = metrics(workdir), metrics(expected)
    compared = [key for key in wanted if key[0] in splits and key in found]
    assert ("valid", LAST) in compared
    for key in compared:
        assert found[key].keys() == wanted[key].keys()
        for name, value in wanted[key].items():
            np.testing.assert_allclose(
                found[key][name], value, rtol=1e-3, atol=1e-4, err_msg=f"{key} {name}"
            )
    return compared


def test_two_processes_train_as_one_does(of_one, of_two):
    workdir, (first, second) = of_two
    assert metrics(workdir).keys() == metrics(of_one).keys()
    assert_same_numbers(workdir, of_one)
    assert f"step {LAST} (epoch" in first.output
    assert second.output.strip() == ""  # process 0 alone speaks


PROCEDURES = {
    "lagging": {"procedure.window": 2, "procedure.most_encoder_steps": 3},
    "pretrained": {
        "procedure.kl_weights": "(0.0,)",
        "procedure.max_steps": "(12,)",
        "procedure.patience": "(2,)",
        "procedure.reset": "('decoder',)",
    },
    "semi_amortized": {"procedure.num_steps": 2, "procedure.evaluation_steps": 2},
}


@pytest.mark.parametrize("name", PROCEDURES)
def test_every_process_is_in_the_same_phase(name, cache, tmp_path):
    """Of procedures that change what they do: two processes end as one does."""
    settings = {"procedure.name": name, **PROCEDURES[name]}
    one = alone(arguments(tmp_path / "one", cache, **settings), 4)
    assert one.code == 0, one.output
    words = arguments(tmp_path / "two", cache, **settings)
    ended = Job(tmp_path, (words, words)).wait()
    assert [x.code for x in ended] == [0, 0], ended
    expected, found = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert found.keys() == expected.keys()
    for place, row in found.items():
        for key in ("loss", "rec", "kl_weight", "aggressive", "neg_elbo"):
            if key in row:
                assert row[key] == pytest.approx(expected[place][key], rel=2e-3), (place, key)


def test_sigterm_on_one_process_saves_one_step_on_all_and_resumes_exactly(of_two, cache, tmp_path):
    workdir = tmp_path / "run"
    words = arguments(workdir, cache)
    job = Job(tmp_path, (words, words))
    job.wait_for_step(workdir, 4)
    job.processes[1].send_signal(signal.SIGTERM)
    ended = job.wait()
    assert [x.code for x in ended] == [0, 0], ended
    steps = [re.findall(rf"stopped and saved at step (\d+) of {LAST}", x.output) for x in ended]
    assert steps[0] == steps[1]
    assert 4 < steps_on_disk(workdir) == int(steps[0][0]) < LAST
    ended = Job(tmp_path, (words, words)).wait()
    assert [x.code for x in ended] == [0, 0], ended
    jax.tree.map(np.testing.assert_array_equal, last_state(workdir), last_state(of_two[0]))


def test_after_a_sigkill_the_rest_ends_and_the_run_goes_on_elsewhere(of_one, cache, tmp_path):
    """On two processes, then on one with four devices, then on one device."""
    workdir = tmp_path / "run"
    words = arguments(workdir, cache, train__backend="shard_map")
    launcher = launched(words)
    wait_for_step(launcher, workdir, 8)
    os.kill(child(launcher, "--process_id=1"), signal.SIGKILL)
    at = time.monotonic()
    output, _ = launcher.communicate(timeout=600)
    assert time.monotonic() - at < GRACE + HEARTBEAT + 10
    assert launcher.returncode == 128 + signal.SIGKILL, output
    assert "process 1 of 2 was ended by SIGKILL" in output
    assert "the same command resumes from the last checkpoint" in output
    stopped = steps_on_disk(workdir)
    assert 8 <= stopped < LAST
    shown = [step for split, step in metrics(workdir) if split == "train"]
    assert max(shown, default=0) - stopped <= SMALL["train.checkpoint_every"]
    ended = alone(words, 4, interrupt_after=(workdir, stopped + 8))
    assert ended.code == 0, ended.output
    assert stopped + 8 <= steps_on_disk(workdir) < LAST
    ended = alone(words, 1)
    assert ended.code == 0, ended.output
    assert len(assert_same_numbers(workdir, of_one)) > LAST // 6


def test_a_signal_to_the_launcher_stops_all_and_a_workdir_of_two_resumes_on_two(
    of_two, cache, tmp_path
):
    workdir = tmp_path / "run"
    words = arguments(workdir, cache)
    launcher = launched(words)
    wait_for_step(launcher, workdir, 4)
    launcher.send_signal(signal.SIGINT)
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 128 + signal.SIGINT, output
    assert output.count(f"stopped and saved at step {steps_on_disk(workdir)} of {LAST}") == 2


def test_a_disk_that_process_0_cannot_write_to_ends_all(cache, tmp_path):
    if not shutil.which("prlimit"):
        pytest.skip("needs prlimit, of util-linux")
    workdir = tmp_path / "run"
    words = [*arguments(workdir, cache), "--log_level=error"]
    off = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    job = Job(tmp_path, (words, words), changed=(off, off))
    # From now on; what the program is read from needs no file written.
    limit = ["prlimit", f"--pid={job.processes[0].pid}", "--fsize=8192:8192"]
    subprocess.run(limit, check=True)
    ended = job.wait()
    assert [x.code for x in ended] == [1, 1], ended
    assert "step 4 could not be saved (File too large); training continues" in ended[0].output
    for one in ended:
        assert f"step {LAST} could not be saved (File too large): make room" in said(one)[-1]
    assert len(said(ended[1])) == 1


def test_a_loss_that_is_no_number_ends_all(cache, tmp_path):
    changed = {"train__learning_rate": 1e30, "train__clip_norm": 0.0}
    words = arguments(tmp_path / "run", cache, train__learning_rate_decay="none", **changed)
    ended = Job(tmp_path, (words, words)).wait()
    assert [x.code for x in ended] == [1, 1], ended
    sentences = [said(x)[-1] for x in ended]
    assert re.match(r"the loss of step \d is not finite .*last good checkpoint: none", sentences[0])
    assert sentences[0].startswith(sentences[1])


def launched(words):
    """The launcher, with two processes of two devices."""
    launcher = ROOT / "launch" / "local_multiprocess.py"
    options = ["--num_processes=2", "--devices_per_process=2", f"--grace={GRACE}", "--"]
    return subprocess.Popen(
        [sys.executable, launcher, *options, *words, f"--heartbeat_timeout={HEARTBEAT}"],
        env=environment(2),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_step(process, workdir, step):
    while steps_on_disk(workdir) < step:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def child(process, argument):
    """The number of the child process that has an argument."""
    children = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
    )
    (found,) = [line.split()[0] for line in children.stdout.splitlines() if argument in line]
    return int(found)
