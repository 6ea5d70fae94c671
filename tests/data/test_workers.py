"""Processes that share work: order, errors, deaths, and the end of all when the caller ends."""

import functools
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wae_rnf_jax.data.workers import ordered_map
from wae_rnf_jax.errors import InputError


def test_results_come_in_order_from_several_processes():
    power = functools.partial(pow, 3)
    assert list(ordered_map(power, range(40), num_workers=3)) == [3**i for i in range(40)]


def test_few_items_are_done_by_this_process():
    assert list(ordered_map(lambda x: (x, os.getpid()), [1, 2, 3], num_workers=3)) == [
        (i, os.getpid()) for i in (1, 2, 3)
    ]


def test_the_first_error_in_order_is_raised_after_the_results_before_it():
    results = ordered_map(math.log, [1, 1, 1, -1, "x", 1, 1, 1], num_workers=2)
    assert [next(results) for _ in range(3)] == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"math domain|positive input"):
        next(results)


@pytest.mark.parametrize(
    "function, item, how",
    [(signal.raise_signal, signal.SIGKILL, "signal 9"), (os._exit, 7, "exit code 7")],
)
def test_a_process_that_ends_is_told(function, item, how):
    with pytest.raises(InputError, match=f"ended with {how}: .*lower --config.data.num_workers"):
        list(ordered_map(function, [item] * 8, num_workers=2))


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


CALLER = """
import time
from wae_rnf_jax.data.workers import ordered_map
results = ordered_map(time.sleep, [0.01] * 4 + [0.3] * 100, num_workers=2)
next(results)
print("begun", flush=True)
list(results)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_their_caller(signum):
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As begun at a terminal; in the background, and under pytest-xdist, SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert caller.stdout.readline() == "begun\n"
    workers = children(caller.pid)
    assert len(workers) == 2
    assert all(os.getpgid(worker) == worker for worker in workers)  # no keyboard reaches them
    caller.send_signal(signum)
    _, errors = caller.communicate(timeout=60)
    assert errors.count("Traceback") == (signum == signal.SIGINT)  # the caller's own
    deadline = time.monotonic() + 30
    while not all(map(ended, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(ended, workers))
