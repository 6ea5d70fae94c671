"""docs/notebook.ipynb runs from top to bottom, and what it shows is what it gives.

The cells are executed in this process and not by a kernel, which would bring some thirty packages
into the requirements and another start of JAX into the suite; the notebook has no magics.
"""

import json
import re

import matplotlib
import matplotlib.pyplot as plt
import pytest
from command_runs import ROOT

PATH = ROOT / "docs" / "notebook.ipynb"
NOTEBOOK = json.loads(PATH.read_text())
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
LENGTH = "num_steps = 400"
REFRESH = "jupyter nbconvert --to notebook --execute --inplace docs/notebook.ipynb"


def text_of(cell) -> str:
    """What a cell printed when the notebook was saved."""
    streams = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    assert all(output["name"] == "stdout" for output in streams), "a warning was saved"
    return "".join("".join(output["text"]) for output in streams)


def pictures_of(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


def without_numbers(text: str) -> str:
    """Numbers differ in their last digits from machine to machine."""
    return re.sub(r"\s*-?\d+(\.\d+)?", " #", text)


def test_saved_outputs_are_those_of_one_run():
    assert NOTEBOOK["nbformat"] == 4
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1)), REFRESH
    kinds = {output["output_type"] for cell in CODE for output in cell["outputs"]}
    assert kinds == {"stream", "display_data"}
    assert sum(map(pictures_of, CODE)) >= 3
    assert PATH.stat().st_size < 300_000
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


@pytest.fixture
def pictures(monkeypatch):
    """Counts the figures that are shown, and draws them to nowhere."""
    backend, count = matplotlib.get_backend(), []

    def show():
        count.append(len(plt.get_fignums()))
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")

    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", show)
    yield count
    plt.close("all")
    plt.switch_backend(backend)


def run(pictures, capsys, *, shorter: bool) -> dict:
    """Runs all cells, and returns the names that they define."""
    names = {"__name__": "__main__"}
    for cell in CODE:
        before = sum(pictures)
        source = "".join(cell["source"])
        if shorter and LENGTH in source:
            source = source.replace(LENGTH, "num_steps = 10")
        exec(compile(source, PATH.name, "exec"), names)
        printed = capsys.readouterr().out
        assert without_numbers(printed) == without_numbers(text_of(cell)), REFRESH
        assert sum(pictures) - before == pictures_of(cell), REFRESH
    assert sum(pictures) >= 3
    return names


def test_notebook_runs_with_less_training(pictures, capsys):
    names = run(pictures, capsys, shorter=True)
    assert names["num_steps"] == 10
    assert names["after"] < names["before"]


@pytest.mark.slow
def test_notebook_runs(pictures, capsys):
    names = run(pictures, capsys, shorter=False)
    assert names["after"] < names["before"] / 4
