"""The notebooks of the library run from top to bottom, and what they show is what they give.

The cells are executed in this process and not by a kernel, which would be another start of JAX in
the suite; the notebooks have no magics.
"""

import base64
import json
import re

import matplotlib
import matplotlib.pyplot as plt
import pytest
from command_runs import ROOT

PICTURES = {"notebook": 3, "curved_space": 1}
LENGTH = "num_steps = 400"  # of the training in `notebook`
REFRESH = "jupyter execute --inplace docs/NAME.ipynb"


def cells_of(name: str) -> list[dict]:
    notebook = json.loads((ROOT / "docs" / f"{name}.ipynb").read_text())
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


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


@pytest.mark.parametrize("name", PICTURES)
def test_saved_outputs_are_those_of_one_run(name):
    path = ROOT / "docs" / f"{name}.ipynb"
    notebook, code = json.loads(path.read_text()), cells_of(name)
    assert notebook["nbformat"] == 4
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), REFRESH
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert kinds == {"stream", "display_data"}
    assert sum(map(pictures_of, code)) == PICTURES[name]
    assert path.stat().st_size < 300_000
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_readme_shows_the_picture_of_the_notebook():
    (picture,) = [
        output["data"]["image/png"]
        for cell in cells_of("curved_space")
        for output in cell["outputs"]
        if "data" in output
    ]
    shown = re.search(r"!\[.*?\]\((.*?)\)", (ROOT / "README.md").read_text(), re.DOTALL)
    assert (ROOT / shown[1]).read_bytes() == base64.b64decode(picture)


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


def run(name, pictures, capsys, *, shorter: bool) -> dict:
    """Runs all cells, and returns the names that they define."""
    names = {"__name__": "__main__"}
    for cell in cells_of(name):
        before = sum(pictures)
        source = "".join(cell["source"])
        if shorter and LENGTH in source:
            source = source.replace(LENGTH, "num_steps = 10")
        exec(compile(source, f"{name}.ipynb", "exec"), names)
        printed = capsys.readouterr().out
        assert without_numbers(printed) == without_numbers(text_of(cell)), REFRESH
        assert sum(pictures) - before == pictures_of(cell), REFRESH
    return names


def test_notebook_runs_with_less_training(pictures, capsys):
    names = run("notebook", pictures, capsys, shorter=True)
    assert names["num_steps"] == 10
    assert names["after"] < names["before"]


@pytest.mark.slow
def test_notebook_runs(pictures, capsys):
    names = run("notebook", pictures, capsys, shorter=False)
    assert names["after"] < names["before"] / 4


def test_the_geodesic_goes_around_the_hill(pictures, capsys):
    names = run("curved_space", pictures, capsys, shorter=False)
    assert names["found"].length < 0.85 * names["length"]
    assert min(abs(names["geodesic"][:, 1])) < 0.31 < max(abs(names["geodesic"][:, 1]))
    assert abs(names["share"]["even"] - names["share"]["codes"]) > 0.05
