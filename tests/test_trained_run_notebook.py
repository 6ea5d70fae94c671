"""docs/trained_run.ipynb runs from top to bottom, on a smaller run than its own.

What is saved in it is of a longer training; a test looks at its form, and at what it shows.
"""

import json

import matplotlib.pyplot as plt
import pytest
from command_runs import ROOT, SMALL

from wae_rnf_jax import cli

PATH = ROOT / "docs" / "trained_run.ipynb"
NOTEBOOK = json.loads(PATH.read_text())
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def printed(cell) -> list[str]:
    return ["".join(x["text"]) for x in cell["outputs"] if x["output_type"] == "stream"]


def num_pictures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


def test_saved_outputs_are_those_of_one_run():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert sum(map(num_pictures, CODE)) == 3
    assert all(printed(cell) or num_pictures(cell) for cell in CODE)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    assert PATH.stat().st_size < 300_000


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """A folder beside `runs/demo`, a tiny run of the built-in corpus."""
    values = {
        **SMALL,
        "data.source": "grammar",
        "data.num_sentences": "(400,40,60)",
        "data.cache_dir": tmp_path / "cache",
        "model.latent_dim": 4,
        "codebook.num_centers": 2,
        "codebook.num_codes": 16,
        "kl_weight.length": 20,
        "train.batch_size": 32,
    }
    overrides = [f"--config.{key}={value}" for key, value in values.items()]
    config = f"--config={ROOT}/configs/grammar/wae_rnf.py"
    assert cli.main(["train", config, f"--workdir={tmp_path}/runs/demo", *overrides]) == 0
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")


@pytest.mark.slow
def test_it_runs(docs, monkeypatch, capsys):
    shown = []

    def show():
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
            shown.append(number)
        plt.close("all")

    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", show)
    names = {"__name__": "__main__"}
    capsys.readouterr()
    for cell in CODE:
        before = len(shown)
        exec(compile("".join(cell["source"]), PATH.name, "exec"), names)
        assert len(shown) - before == num_pictures(cell)
        assert bool(capsys.readouterr().out) == bool(printed(cell))
    assert names["codes"].zk.shape == (60, 4)
    assert len(names["told"]) == len(names["strengths"])
    assert names["geodesic"].codes.shape == names["straight"].codes.shape == (7, 4)
