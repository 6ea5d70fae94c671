"""What the command asks of a run beside its configuration."""

from typing import NamedTuple


class Origin(NamedTuple):
    """Another run whose model a run starts from; its workdir keeps this.

    Attributes:
      workdir: of the other run.
      parts: paths in the parameter tree; none for all that both models have.
    """

    workdir: str
    parts: tuple[str, ...] = ()


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


class StartFlags(NamedTuple):
    """What one start of a run is asked for; no number depends on it.

    Attributes:
      profile: steps to trace.
      debug_nans: stop at the first NaN and say where it comes up; slower, and takes more memory.
      quiet: show no progress.
    """

    profile: int = 0
    debug_nans: bool = False
    quiet: bool = False


NO_FLAGS = StartFlags()
