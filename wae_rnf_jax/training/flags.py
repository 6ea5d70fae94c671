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


class StartFlags(NamedTuple):
    """What one start of a run is asked for; no number depends on it.

    Attributes:
      profile: steps to trace.
      debug_nans: stop at the first NaN and say where it comes up; slower, and takes more memory.
      quiet: show no progress.
      trackers: names of experiment trackers to write to.
    """

    profile: int = 0
    debug_nans: bool = False
    quiet: bool = False
    trackers: tuple[str, ...] = ()


NO_FLAGS = StartFlags()
