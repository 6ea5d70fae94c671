"""The `wae-rnf` command: parses the command line, checks it, runs one of the subcommands."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags

from wae_rnf_jax.commands import COMMANDS, Command
from wae_rnf_jax.commands.failures import outside_cause, report_request
from wae_rnf_jax.commands.options import added_argument, prepare_process
from wae_rnf_jax.config_files import loaded_config
from wae_rnf_jax.errors import InputError, did_you_mean, first_line, warn
from wae_rnf_jax.jobs.interruption import Terminated, interrupting_signals

USAGE_ERROR = 2
_NO_CONFIG = (
    "--config is missing: name a file, or a configuration of the package, such as grammar/wae_rnf"
)
_MOST_MEANT = 3  # keys of the configuration that a message offers in place of an unknown flag

EXAMPLES = (
    "wae-rnf train --config=configs/grammar/wae_rnf.py --workdir=runs/grammar/wae_rnf",
    "wae-rnf evaluate --workdir=runs/grammar/wae_rnf --num_samples=100",
    "wae-rnf sample --workdir=runs/grammar/wae_rnf --num=10",
)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Codes: 0 done, 1 the training failed, 2 bad input, 130 interrupted by the keyboard, 143 by
    SIGTERM (but 0 where training has saved its state after it).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    try:
        _check_encoding(arguments)
        with interrupting_signals():
            code = _run(arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except InputError as error:
        warn(str(error))
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, Terminated)
        warn("terminated" if terminated else "interrupted")
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output left (`| head`): nothing is wrong
        return 0
    except OSError as error:  # a full disk, for one
        where = error.filename or "cannot write to standard output or to a file"
        warn(f"{where}: {error.strerror or error}")
        return USAGE_ERROR
    except Exception as error:
        command = COMMANDS.get(arguments[0]) if arguments else None
        cause = outside_cause(error, takes_less=command.takes_less if command else "")
        if cause is None:
            error.add_note(report_request())
            raise
        warn(cause)
        return USAGE_ERROR
    finally:
        _settle_output()


def _settle_output() -> None:
    """Writes what standard output still holds, or drops it: at exit, Python would complain."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # ValueError: it is no file of the system
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_encoding(arguments: list[str]) -> None:
    """Refuses what is not UTF-8: results could not name it, and libraries not open it.

    Nor may it hold a NUL, which only arguments that come from other programs' calls can.
    """
    for argument in arguments:
        if "\0" in argument:
            raise InputError(f"{argument!r} contains a NUL character: remove it")
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(argument).decode(errors="backslashreplace")
            raise InputError(f"{shown} is not valid UTF-8: give names and text in UTF-8") from error


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else USAGE_ERROR
    name, *rest = arguments
    if name not in COMMANDS:
        known = f"it must be one of {', '.join(COMMANDS)}"
        raise InputError(f"unknown command {name!r}: {known}{did_you_mean(name, COMMANDS)}")
    if {"-h", "--help"} & set(rest):
        print(_command_help(name))
        return 0
    values = parsed_flags(name, rest)
    prepare_process()
    return COMMANDS[name].run(values) or 0


def parsed_flags(name: str, arguments: list[str]) -> flags.FlagValues:
    """The flags of a command as its arguments set them.

    Args:
      name: one of `COMMANDS`.
      arguments: what follows the name.

    Returns:
      The flags.

    Raises:
      InputError: for an unknown flag or key of the configuration, naming the nearest one there
        is, a value that cannot be read, or an argument too many.
    """
    command, hint = COMMANDS[name], f" (see `wae-rnf {name} --help`)"
    config = None
    if command.takes_config:
        config, arguments = _config_and_rest(arguments)
    values = _defined_flags(command, arguments, config)
    try:
        left = values([f"wae-rnf {name}", *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        nearest = _meant_key(error.flagname, config) or did_you_mean(
            error.flagname, values, prefix="--"
        )
        raise InputError(f"unknown flag --{error.flagname}{nearest}{hint}") from error
    except (flags.Error, AttributeError, LookupError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{_plain(first_line(error))}{hint}") from error
    if command.takes_config and values["config"].value is None:
        raise InputError(_NO_CONFIG)
    if command.arguments:
        values[command.arguments].value = [*values[command.arguments].value, *left]
    elif left:
        meant = "workdir" in values and values["workdir"].value is None
        nearest = f"; did you mean --workdir={left[0]}?" if meant else ""
        raise InputError(f"unexpected argument {left[0]!r}{nearest}{hint}")
    return values


def _defined_flags(command: Command, arguments: list[str], config: Any = None) -> flags.FlagValues:
    values = flags.FlagValues()
    command.define_flags(values)
    # The overrides among the arguments become flags of their own, --config.KEY.
    given = {"flag_values": values, "sys_argv": ["", *arguments]}
    if config is not None:
        config_flags.DEFINE_config_dict("config", config, **given)
    elif command.takes_config:
        config_flags.DEFINE_config_file("config", **given)
    return values


def _config_and_rest(arguments: list[str]) -> tuple[Any, list[str]]:
    """Loads the configuration that the arguments name, with every key that they override.

    Returns:
      The configuration, None where none is named, and the arguments without its file.
    """
    file, rest = None, []
    following = iter(arguments)
    for argument in following:
        if not re.fullmatch(r"--?config(=.*)?", argument):
            rest.append(argument)
            continue
        file = argument.partition("=")[2] or next(following, "")
        if not file:
            raise InputError(_NO_CONFIG)
    matches = [re.match(r"--?(?:no)?config\.([^=\[]+)", argument) for argument in rest]
    overrides = [match[1] for match in matches if match]
    if file is None:
        if overrides:
            raise InputError(_NO_CONFIG)
        return None, rest
    config = loaded_config(file)
    for key in overrides:
        if key not in _dotted_keys(config.to_dict()) and not added_argument(config, key):
            nearest = did_you_mean(key, _dotted_keys(config.to_dict()), prefix="--config.")
            raise InputError(f"--config.{key}: {file} has no such key{nearest}")
    return config, rest


def _meant_key(flag: str, config: Any) -> str:
    """The end of a message about a flag that keys of the configuration end in; "" for others."""
    keys = [] if config is None else _dotted_keys(config.to_dict())
    meant = [f"--config.{key}" for key in keys if re.search(rf"[._]{re.escape(flag)}$", key)]
    return f"; did you mean {' or '.join(meant)}?" if 0 < len(meant) <= _MOST_MEANT else ""


def _dotted_keys(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _dotted_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _plain(message: str) -> str:
    """The parser's message about a flag as a sentence about flag, value and what would be right."""
    found = re.match(r"flag --(.*?)=(.*?): (.*)", message)
    if not found:
        return message
    name, value, reason = found.groups()
    for start, rule in (
        ("invalid literal for int()", "it must be a whole number"),
        ("could not convert string to float", "it must be a number"),
        ("('Non-boolean", "it must be true or false"),
    ):
        reason = rule if reason.startswith(start) else reason
    return f"--{name} is {value!r}: {reason}"


def _overview() -> str:
    lines = [
        "usage: wae-rnf COMMAND [--flag=value …]",
        "",
        *(f"  {name:12} {command.summary}" for name, command in COMMANDS.items()),
        "",
        "Getting started:",
        *(f"  {example}" for example in EXAMPLES),
        "",
        "`wae-rnf COMMAND --help` lists a command's flags, with examples.",
    ]
    return "\n".join(lines)


def _command_help(name: str) -> str:
    command = COMMANDS[name]
    values = _defined_flags(command, [])
    arguments = f"{command.arguments.removesuffix('s').upper()}… " if command.arguments else ""
    lines = [f"usage: wae-rnf {name} {arguments}[--flag=value …]", "", command.summary, ""]
    for flag in sorted(values):
        if flag == "config":
            text = (
                "configuration: a file, or the name of one that comes with the package, such as "
                "grammar/wae_rnf; --config.KEY=VALUE overrides a key, and configs/default.py "
                "explains every key"
            )
        else:
            text = f"{values[flag].help} (default: {values[flag].default})"
        lines.append(f"  --{flag}: {text}")
    lines += ["", "examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
