"""Flags by which a process joins the others of its job."""

import re

from absl import flags

from wae_rnf_jax.errors import InputError

_EXPLICIT = ("coordinator_address", "num_processes", "process_id")


def define_job(values: flags.FlagValues) -> None:
    """Defines `--distributed`, and what says the same where no environment does."""
    flags.DEFINE_boolean(
        "distributed",
        False,
        "train together with the other processes of this job, one per host, as the environment "
        "(Cloud TPU, GKE, SLURM, Open MPI) describes it",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator_address",
        None,
        "host:port on which process 0 listens; with --num_processes and --process_id, it replaces "
        "--distributed where no environment describes the job",
        flag_values=values,
    )
    integer = {"lower_bound": 1, "flag_values": values}
    flags.DEFINE_integer("num_processes", None, "number of processes in the job", **integer)
    flags.DEFINE_integer(
        "process_id", None, "index of this process in the job, from 0", flag_values=values
    )
    flags.DEFINE_integer(
        "join_timeout", 300, "seconds to wait at startup for the job's processes", **integer
    )
    flags.DEFINE_integer(
        "heartbeat_timeout",
        100,
        "seconds of silence after which a process counts as dead and the others exit",
        **integer,
    )


def job_of(values: flags.FlagValues):
    """The job that the flags name, or None."""
    from wae_rnf_jax.jobs.processes import Job

    given = {name: values[name].value for name in _EXPLICIT}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if len(missing) == len(given):
        if not values["distributed"].value:
            return None
    elif missing:
        present = [f"--{name}" for name, value in given.items() if value is not None]
        raise InputError(
            f"{' and '.join(present)} without {' and '.join(missing)}: give all three, or "
            "--distributed alone where the environment describes the job"
        )
    else:
        _check(**given)
    timeouts = {name: values[name].value for name in ("join_timeout", "heartbeat_timeout")}
    return Job(**given, **timeouts)


def _check(coordinator_address: str, num_processes: int, process_id: int) -> None:
    if not 0 <= process_id < num_processes:
        raise InputError(
            f"--process_id is {process_id}: with --num_processes={num_processes} it must be "
            + (f"from 0 to {num_processes - 1}" if num_processes > 1 else "0")
        )
    address = re.fullmatch(r"(\S+):(\d+)", coordinator_address)
    if not address or not 0 < int(address[2]) < 65536:
        raise InputError(
            f"--coordinator_address is {coordinator_address!r}: it must be host:port, "
            "with a port from 1 to 65535"
        )
