"""The processes of one job: joining them, and what they tell each other.

A job is one run on several hosts: all its processes run the same program, each feeds the devices of
its own host, and process 0 alone touches the workdir. A process that was not told of others is
process 0 of 1, for which everything here does nothing.

What may fail on one process is done within `together`, so that all end alike: a process that left
by itself would leave the others waiting in their next reduction.
"""

import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from wae_rnf_jax.errors import InputError, TrainingFailed, first_line, warn
from wae_rnf_jax.jobs.signals import Interrupted

_KINDS = {"input": InputError, "training": TrainingFailed, "signal": Interrupted}


class Job(NamedTuple):
    """Which job of several processes this one belongs to.

    Attributes:
      coordinator_address: host:port that process 0 listens on; None, as the next two, where the
        environment says it.
      num_processes: of the job.
      process_id: this one's, from 0.
      join_timeout: seconds to wait for the others at the start.
      heartbeat_timeout: seconds after which a silent process counts as dead, and the others end.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    join_timeout: int = 300
    heartbeat_timeout: int = 100


def is_first() -> bool:
    """Returns whether this is the process that writes files and speaks."""
    return jax.process_index() == 0


@contextmanager
def member_of(job: Job | None) -> Iterator[None]:
    """Joins a job and, when all is done, parts from it; None is no job.

    Errors that all processes raise together go on to the caller, and the processes end in order.
    With any other error this process ends at once, and with its exit code: JAX would have it wait
    for the others, which cannot go on without it.

    Raises:
      InputError: there is no such job, its other processes do not come, or their devices differ.
    """
    if job is None:
        yield
        return
    try:
        _join(job)
        yield
    except tuple(_KINDS.values()):
        raise
    except jax.errors.JaxRuntimeError as error:  # a process that died is seen as a lost connection
        warn(
            f"process {jax.process_index()} of {jax.process_count()} cannot continue: "
            f"{first_line(error)}; the same command on all processes resumes from the last "
            "checkpoint"
        )
        _leave(1)
    except KeyboardInterrupt as error:
        warn("interrupted")
        _leave(128 + _signum(error))
    except BaseException:
        traceback.print_exc()
        _leave(1)


def _join(job: Job) -> None:
    # JAX's own answer to SIGTERM would take the signal from `StopSignals`.
    jax.config.update("jax_enable_preemption_service", False)
    if job.process_id == 0:
        _check_port(job.coordinator_address)
    counts = _met(job)
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} on process {i}" for i, count in sorted(counts.items()))
        raise InputError(
            f"the processes differ in their number of devices ({found}): give each the same number"
        )


def _met(job: Job) -> Counter[int]:
    """Waits for all processes; returns how many devices each has.

    JAX cannot be interrupted while it waits, and aborts the process when its patience ends. So
    another thread waits for it, and this one ends the process before that, with one sentence.
    """
    met: Future[Counter[int]] = Future()

    def meet() -> None:
        try:
            met.set_result(_initialized(job))
        except Exception as error:
            met.set_exception(error)

    threading.Thread(target=meet, daemon=True).start()
    try:
        return met.result(job.join_timeout)
    except TimeoutError:
        where = f" at {job.coordinator_address}" if job.coordinator_address else ""
        warn(
            f"the processes of the job did not meet{where} within --join_timeout="
            f"{job.join_timeout} seconds: start all of them, with the address of process 0 and "
            "the same number of processes"
        )
        _leave(2)


def _initialized(job: Job) -> Counter[int]:
    try:
        jax.distributed.initialize(
            coordinator_address=job.coordinator_address,
            num_processes=job.num_processes,
            process_id=job.process_id,
            cluster_detection_method="deactivate" if job.coordinator_address else None,
            initialization_timeout=job.join_timeout + 60,  # `_met` ends before
            heartbeat_timeout_seconds=job.heartbeat_timeout,
            shutdown_timeout_seconds=job.heartbeat_timeout,
        )
        return Counter(device.process_index for device in jax.devices())
    except ValueError as error:  # address, number or id is unknown
        raise InputError(
            "--distributed: the environment does not describe the job, as those of Cloud TPU, GKE, "
            f"SLURM and Open MPI do (JAX: {first_line(error)}): give --coordinator_address, "
            "--num_processes and --process_id"
        ) from error
    except (RuntimeError, OSError) as error:
        raise InputError(f"the processes could not connect: {first_line(error)}") from error


def _check_port(address: str) -> None:
    """Raises InputError where process 0 cannot listen there, of which JAX would crash."""
    port = address.rpartition(":")[2]
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", int(port)))
    except OSError as error:
        raise InputError(
            f"--coordinator_address: process 0 cannot listen on port {port} ({error.strerror}): "
            "name another port"
        ) from error


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, full, or None
            stream.flush()
    os._exit(code)


def gathered(value: Any) -> list[Any]:
    """Returns what every process gave, in their order; `value` is anything that JSON can hold."""
    if jax.process_count() == 1:
        return [value]
    content = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.array([len(content)], np.int32))
    # Few different lengths: each is a program to compile.
    padded = np.zeros(1 << (int(sizes.max()) - 1).bit_length(), np.uint8)
    padded[: len(content)] = content
    rows = np.asarray(multihost_utils.process_allgather(padded), np.uint8)
    return [
        json.loads(row[:size].tobytes())
        for row, size in zip(rows, sizes.ravel().tolist(), strict=True)
    ]


def from_first(tree: Any) -> Any:
    """Returns the arrays of process 0, bit for bit; the other processes' have the same shapes."""
    if jax.process_count() == 1:
        return tree
    arrays = jax.device_get(tree)
    # As bytes: sums with zeros, which the broadcast is, would lose the sign of -0.0.
    as_bytes = jax.tree.map(lambda x: np.ascontiguousarray(x).reshape(-1).view(np.uint8), arrays)
    received = multihost_utils.broadcast_one_to_all(as_bytes)
    return jax.tree.map(
        lambda x, own: np.asarray(x, np.uint8).view(own.dtype).reshape(own.shape), received, arrays
    )


def gathered_rows(tree: Any) -> Any:
    """Returns arrays [N, B, ...] as [N, B of all processes, ...], process after process."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(
        # [P, N, B, ...], of P processes
        lambda x: np.moveaxis(x, 0, 1).reshape(x.shape[1], -1, *x.shape[3:]),
        multihost_utils.process_allgather(tree),
    )


@contextmanager
def together() -> Iterator[None]:
    """Ends on every process as it ends on any one: where one fails, all do, with one exit code.

    Raises:
      InputError, TrainingFailed, Interrupted: this process's error, or that of the first process
        that has one, which is named.
    """
    if jax.process_count() == 1:
        yield
        return
    failure = None
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        failure = _in_our_terms(error)
    told = None
    if failure is not None:
        kind = next(name for name, kind in _KINDS.items() if isinstance(failure, kind))
        told = kind, str(failure), getattr(failure, "signum", None)
    outcomes = gathered(told)
    if failure is not None:
        raise failure
    for process, outcome in enumerate(outcomes):
        if outcome is not None:
            kind, message, signum = outcome
            message = f"process {process}: {message}"
            if signum is not None:
                raise Interrupted(signum, message, saved=False)
            raise _KINDS[kind](message)


def _in_our_terms(error: BaseException) -> Exception:
    """An error as one of the three kinds that the command answers with an exit code."""
    if isinstance(error, tuple(_KINDS.values())):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(_signum(error), "interrupted before the first step", saved=False)
    if isinstance(error, OSError):
        return InputError(f"{error.filename or 'a file'}: {error.strerror or error}")
    traceback.print_exc()
    return TrainingFailed(f"{type(error).__name__}: {first_line(error)}")


def _signum(error: KeyboardInterrupt) -> int:
    return getattr(error, "signum", signal.SIGINT)
