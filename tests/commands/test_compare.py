import json
import shutil

import pytest

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation import comparison
from wae_rnf_jax.evaluation.published import PENN_TREEBANK, published_results
from wae_rnf_jax.evaluation.report import NLL_IW_NOTE, NLL_PAPER_NOTE


@pytest.fixture(scope="module")
def evaluated(runs, tmp_path_factory):
    """Copies of the two runs, evaluated."""
    folder = tmp_path_factory.mktemp("evaluated")
    for system in ("vae", "lm"):
        shutil.copytree(runs / system, folder / system)
        arguments = ["--num_samples=2", "--num_generated=4", "--num_reconstructions=2"]
        assert cli.main(["evaluate", f"--workdir={folder / system}", *arguments]) == 0
    return folder


def compared(capsys, *arguments):
    capsys.readouterr()
    assert cli.main(["compare", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_one_table_holds_the_runs(evaluated, capsys):
    workdirs = [evaluated / "vae", evaluated / "lm"]
    out = compared(capsys, *workdirs)
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["model", "vae", "lm"]
    assert NLL_IW_NOTE in lines
    assert NLL_PAPER_NOTE in lines
    assert "published" not in out
    assert out == compared(capsys, f"--workdirs={workdirs[0]},{workdirs[1]}")


def test_other_formats_hold_the_same_figures(evaluated, capsys):
    workdirs = [evaluated / "vae", evaluated / "lm"]
    content = json.loads(compared(capsys, *workdirs, "--format=json"))
    figures = {run["name"]: run["figures"] for run in content["runs"]}
    assert content["published"] == []
    header, *rows = (
        line.split("\t") for line in compared(capsys, *workdirs, "--format=tsv").splitlines()
    )
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        of_run = figures[cells.pop("model")]
        written = {name: float(cell) for name, cell in cells.items() if cell}
        assert written == {name: of_run[name] for name in written}
        assert set(cells) >= {"nll_iw", "nll_paper", "self_bleu"}
    markdown = compared(capsys, *workdirs, "--format=markdown")
    assert f"| vae | {figures['vae']['nll_iw']:.2f} |" in markdown


def test_published_figures_stand_beside_runs_of_their_corpus(evaluated, capsys, monkeypatch):
    assert cli.main(["compare", str(evaluated / "vae"), "--published"]) == 0
    assert "no published figures" in capsys.readouterr().err
    monkeypatch.setattr(comparison, "known_corpus", lambda corpus: PENN_TREEBANK)
    out = compared(capsys, evaluated / "vae")
    lines = out.splitlines()
    place = {title: lines[0].index(title) + len(title) for title in ("NLL (IW)", "NLL (paper)")}
    for name, honest, paper in (
        ("WAE-RNF", "", "91.00"),
        ("WAE-RNF, its code", "105.94", "89.65"),
        ("LSTM-LM", "101.04", ""),
        ("free bits", "", ""),
    ):
        row = next(line for line in lines if line.startswith(f"PTB, published: {name}  "))
        cells = {title: row[end - 8 : end].strip() for title, end in place.items()}
        assert cells == {"NLL (IW)": honest, "NLL (paper)": paper}
    for result in published_results(PENN_TREEBANK):
        assert f"{result.label}: {result.note}" in lines
    assert "published" not in compared(capsys, evaluated / "vae", "--nopublished")


def test_runs_on_different_footing_are_told_apart(evaluated, tmp_path, capsys):
    other = shutil.copytree(evaluated / "lm", tmp_path / "lm")
    results = json.loads((other / "results.json").read_text())
    (other / "results.json").write_text(json.dumps({**results, "split": "valid"}))
    out = compared(capsys, evaluated / "vae", evaluated / "lm", other)
    note = next(line for line in out.splitlines() if "different splits" in line)
    # Two workdirs of one name are told apart by the whole path.
    assert f"test: vae, {evaluated / 'lm'}; valid: {other}" in note


def test_different_numbers_of_draws_are_told(evaluated, tmp_path, capsys):
    other = shutil.copytree(evaluated / "vae", tmp_path / "more")
    results = json.loads((other / "results.json").read_text())
    draws = results["figures"]["num_samples"]
    results["figures"]["num_samples"] = draws + 5
    (other / "results.json").write_text(json.dumps(results))
    out = compared(capsys, evaluated / "vae", evaluated / "lm", other)
    (note,) = (line for line in out.splitlines() if "different numbers of draws" in line)
    assert note.endswith(f"({draws}: vae; {draws + 5}: more).")
    assert "draws" not in compared(capsys, evaluated / "vae", evaluated / "lm").splitlines()[-1]


def test_what_cannot_be_compared_is_refused(evaluated, workdir, tmp_path, refusal, capsys):
    capsys.readouterr()
    assert "no workdir to compare" in refusal("compare")
    assert "holds no run" in refusal("compare", tmp_path)
    fresh = shutil.copytree(evaluated / "vae", tmp_path / "fresh")
    (fresh / "results.json").unlink()
    assert f"run `wae-rnf evaluate --workdir={fresh}` first" in refusal("compare", fresh)
    assert "named twice" in refusal("compare", evaluated / "vae", evaluated / "vae")
    for content in ("{", "{}", '{"figures": {}, "split": "test", "settings": {}}'):
        (fresh / "results.json").write_text(content)
        assert "evaluate the run again" in refusal("compare", fresh)
