"""The paper's three figures, KL, NLL and mutual information by system, of a table of the results.

python -m benchmarks.table_picture "Penn Treebank: eight epochs" docs/pictures/ptb_eight

It reads the first table below that heading of docs/results.md, so a picture can be drawn again when
a row has changed, without the run. `wae-rnf plot` draws the same of runs' own results.
"""

import argparse
import itertools
import sys
from pathlib import Path

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.systems_picture import System, save_systems

RESULTS = Path(__file__).parent.parent / "docs" / "results.md"


def systems_of(text: str, heading: str) -> dict[str, System]:
    """The rows of the first table below a heading, by system.

    Args:
      text: a document in Markdown.
      heading: without its marks. Its table has a column `system`, and of every other column whose
        cells are numbers, alone or "mean ± error", each number is taken.

    Returns:
      A `System` for each row, on the test split; one whose `kl` is 0, and not 0.00, has no code.

    Raises:
      InputError: there is no such heading, or no such table below it.
    """
    lines = iter(text.splitlines())
    if not any(line.startswith("#") and line.lstrip("#") == f" {heading}" for line in lines):
        raise InputError(f"no section is called {heading!r}")
    lines = itertools.takewhile(lambda line: not line.startswith("##"), lines)
    header = next((_cells(line) for line in lines if line.startswith("| system |")), None)
    if header is None:
        raise InputError(f"section {heading!r} has no table whose first column is `system`")
    next(lines, None)  # the rule below the header
    found = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *cells = _cells(line)
        row, metrics = dict(zip(header[1:], cells, strict=True)), {}
        for column, cell in row.items():
            value, _, error = cell.partition(" ± ")
            try:
                metrics[column] = float(value)
                metrics[f"{column}_se"] = float(error or "nan")
            except ValueError:  # words, or an empty cell
                continue
        found[name.replace("`", "")] = System(metrics, tested=True, has_code=row["kl"] != "0")
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("heading", help="of a section of docs/results.md")
    parser.add_argument("stem", type=Path, help="of the files .png, .svg and .pdf")
    arguments = parser.parse_args(argv)
    try:
        systems = systems_of(RESULTS.read_text(), arguments.heading)
    except InputError as error:
        parser.error(str(error))
    for path in save_systems(systems, arguments.stem):
        print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
