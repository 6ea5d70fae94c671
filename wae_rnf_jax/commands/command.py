"""What a subcommand is."""

from collections.abc import Callable
from typing import NamedTuple

from absl import flags


def _no_flags(values: flags.FlagValues) -> None:
    """A command of no flag but, perhaps, the configuration."""


class Command(NamedTuple):
    """One subcommand: what it is for, its flags, and what it calls.

    Attributes:
      summary: one sentence.
      examples: whole command lines, which run as they stand in a checkout.
      run: the command itself; it returns an exit code, None for 0. It imports what is slow to
        import, so that the command line starts quickly.
      define_flags: defines the command's flags.
      takes_config: whether it has `--config`.
      arguments: the list flag that also takes the arguments without a flag; "" where there are
        none.
      takes_less: flags that lower the memory it takes.
    """

    summary: str
    examples: tuple[str, ...]
    run: Callable[[flags.FlagValues], int | None]
    define_flags: Callable[[flags.FlagValues], None] = _no_flags
    takes_config: bool = False
    arguments: str = ""
    takes_less: str = "the amount of data"
