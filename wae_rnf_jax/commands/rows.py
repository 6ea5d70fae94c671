"""Results as rows for people and for programs: `--format`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

FORMATS = ("text", "tsv", "json")


def define_format(values: flags.FlagValues) -> None:
    """Defines `--format`."""
    flags.DEFINE_enum(
        "format", "text", FORMATS, "plain text, tab-separated values, or JSON", flag_values=values
    )


def print_rows(
    rows: Sequence[Mapping[str, Any]], form: str, as_text: Callable[[Mapping[str, Any]], str]
) -> None:
    """Prints rows.

    Args:
      rows: at least one, all of the same names; one that is None in all of them is left out.
      form: "text", "tsv" (a line of names first) or "json".
      as_text: what a row is in "text", one line or several.
    """
    if form == "text":
        for row in rows:
            print(as_text(row))
        return
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    if form == "json":
        from wae_rnf_jax.evaluation.results_file import json_text

        print(json_text([{name: row[name] for name in names} for row in rows]))
        return
    print("\t".join(names))
    for row in rows:
        print("\t".join(_cell(row[name]) for name in names))


def _cell(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)
