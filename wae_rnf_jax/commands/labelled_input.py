"""Sentences that a command is given, of a run whose training text has labels."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.errors import InputError, warn


class GivenText(NamedTuple):
    """Sentences, and the label of each, None where they have none."""

    sentences: list[str]
    labels: list[str] | None


def define_labelled_input(values: flags.FlagValues, *, split: bool = False) -> None:
    """Defines `--input` and `--label`, and `--split` where asked for."""
    options.define_input(values)
    flags.DEFINE_enum(
        "label",
        "auto",
        ["auto", "leading", "none"],
        "whether each line begins with a label: leading, none, or auto, which compares the lines "
        "with the labels of the training text",
        flag_values=values,
    )
    if split:
        flags.DEFINE_enum(
            "split",
            None,
            ["train", "valid", "test"],
            "take the sentences and labels of a split instead of --input",
            flag_values=values,
        )


def labelled_input(values: flags.FlagValues, run: Any) -> GivenText:
    """The sentences that `--input` or `--split` names, labels taken off and kept.

    Args:
      values: the flags.
      run: the trained model, a `Run`.

    Returns:
      The sentences and, where there are any, their labels.

    Raises:
      InputError: there is no sentence, or a label is missing.
    """
    if "split" in values and values["split"].value:
        if values["input"].present:
            raise InputError("--split and --input both name sentences: give only one of them")
        try:
            return GivenText(*run.split(values["split"].value))
        except InputError as error:
            raise InputError(f"--split: {error}") from error
    lines = options.input_sentences(values)
    given = _without_labels(lines, run.labels, values["label"].value)
    options.report_form(given.sentences, run)
    return given


def _without_labels(lines: Sequence[str], known: Sequence[str], label: str) -> GivenText:
    fields = [line.partition(" ") for line in lines]
    wrong = [number for number, field in enumerate(fields) if field[0] not in known or not field[2]]
    if label == "none" or (label == "auto" and (wrong or not known)):
        if label == "auto" and len(wrong) < len(lines) / 2 and known:
            warn(
                f"{len(lines) - len(wrong)} of the {len(lines)} sentences of --input begin with a "
                f"label, but sentence {wrong[0] + 1}, {lines[wrong[0]]!r}, does not begin with one "
                "followed by a word: labels are read as words (--label=none says so without this "
                "warning)"
            )
        return GivenText(list(lines), None)
    if not known:
        raise InputError("--label is leading, but the run's training text has no labels: omit it")
    if wrong:
        raise InputError(
            f"--label is leading, but sentence {wrong[0] + 1} of --input, {lines[wrong[0]]!r}, "
            f"does not begin with one of the labels {', '.join(known)}, followed by a word"
        )
    if label == "auto":
        print(
            "labels are removed: every line begins with one (--label=none reads it as a word)",
            file=sys.stderr,
        )
    return GivenText([text for _, _, text in fields], [name for name, _, _ in fields])
