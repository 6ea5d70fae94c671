"""The subcommands of `wae-rnf`, one module each.

To add one: write a module named after it that defines `COMMAND`, and list it here.
"""

import importlib

from wae_rnf_jax.commands.command import Command

__all__ = ["COMMANDS", "Command"]

_MODULES = (  # in the order that the help shows
    "prepare",
    "train",
    "info",
    "evaluate",
    "compare",
    "sample",
    "reconstruct",
    "interpolate",
    "geometry",
    "plot",
    "score",
    "encode",
    "decode",
    "shift",
    "probe",
    "export",
)

COMMANDS: dict[str, Command] = {
    name: importlib.import_module(f"{__name__}.{name}").COMMAND for name in _MODULES
}
