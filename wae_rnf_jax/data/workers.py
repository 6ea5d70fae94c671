"""Work shared out among processes of this program's own.

They are started as `python -m wae_rnf_jax.data.workers` and fed through pipes, not by the
multiprocessing module: a fork after jax has begun its threads may hang, and a spawned process runs
the caller's script a second time. In a session of their own they are spared the keyboard's
interrupt, which is the caller's to answer, and when the caller is gone, however it went, their
pipe ends and so do they.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from wae_rnf_jax.errors import InputError

__all__ = ["num_cores", "ordered_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Fewer items are done sooner by this process alone than another one starts.
_LEAST_ITEMS_OF_A_PROCESS = 4


def num_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], *, num_workers: int
) -> Iterator[Result]:
    """Applies a function to items in several processes; the results are in the items' order.

    What is held of results that wait for their turn is bounded: no process is more than two rounds
    ahead of the caller.

    Args:
      function: what to do with an item; it, the items and the results must be picklable.
      items: all of them.
      num_workers: processes at most; few items, or one process, are done in this one.

    Yields:
      The result of each item.

    Raises:
      Exception: what the function raised, for the first item in order that it raised for.
      InputError: if a process was killed.
    """
    num_workers = min(num_workers, len(items) // _LEAST_ITEMS_OF_A_PROCESS)
    if num_workers < 2:
        yield from map(function, items)
        return
    with ExitStack() as stack:
        idle = [stack.enter_context(_worker(function)) for _ in range(num_workers)]
        busy: dict[subprocess.Popen, int] = {}
        done: dict[int, tuple[bool, Any]] = {}
        following = 0
        for position in range(len(items)):
            while position not in done:
                last = min(len(items), position + 2 * num_workers)
                while idle and following < last:
                    worker = idle.pop()
                    _send(worker, items[following])
                    busy[worker] = following
                    following += 1
                for worker in _ready(busy):
                    done[busy.pop(worker)] = _received(worker)
                    idle.append(worker)
            succeeded, result = done.pop(position)
            if not succeeded:
                raise result
            yield result


@contextmanager
def _worker(function: Callable) -> Iterator[subprocess.Popen]:
    """A process that is ready to apply the function."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-m", "wae_rnf_jax.data.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        _send(process, function)
        yield process
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent yet need not be
                pipe.close()
        process.wait()


def _send(process: subprocess.Popen, content: object) -> None:
    try:
        pickle.dump(content, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
    except BrokenPipeError as error:
        raise _ended(process) from error


def _received(process: subprocess.Popen) -> tuple[bool, Any]:
    try:
        return pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError) as error:
        raise _ended(process) from error


def _ready(processes: dict[subprocess.Popen, int]) -> list[subprocess.Popen]:
    """Those that have an answer, or have ended."""
    by_pipe = {process.stdout.fileno(): process for process in processes}
    poll = select.poll()
    for pipe in by_pipe:
        poll.register(pipe, select.POLLIN)
    return [by_pipe[pipe] for pipe, _ in poll.poll()]


def _ended(process: subprocess.Popen) -> InputError:
    code = process.wait()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return InputError(
        f"a process that prepared the corpus ended with {how}: if it ran out of memory, lower "
        "--config.data.num_workers; its files have been removed"
    )


def _serve() -> None:
    """Answers requests until there are no more."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get among the replies
    # Closed here, so that no destructor complains of a reply that nobody waits for.
    with suppress(EOFError, BrokenPipeError), replies:
        function = pickle.load(requests)
        while True:
            item = pickle.load(requests)
            try:
                reply = True, function(item)
            except Exception as error:  # raised again where it was asked for
                reply = False, error
            pickle.dump(reply, replies, pickle.HIGHEST_PROTOCOL)
            replies.flush()


if __name__ == "__main__":
    _serve()
