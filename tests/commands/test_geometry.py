import json

import pytest
from command_runs import train_arguments

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation.geometry_report import side_by_side

START, END = "--start=the cat sat", "--end=a dog ran far away"
SMALL = ("--grid=3", "--num_codes=9", "--num_points=3", "--num_knots=3")


def test_geometry_draws_measures_and_shows_both_paths(workdir, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    stem = tmp_path / "plane"
    arguments = [f"--workdir={workdir}", f"--output={stem}", START, END, *SMALL]
    assert cli.main(["geometry", *arguments, "--num_pairs=2", "--num_shown=1"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert "straight path, Fisher–Rao length" in rows[0]
    assert "geodesic, Fisher–Rao length" in rows[0]
    assert [("|" in row) for row in rows[:10]] == [True, True, True, True, False] * 2
    assert rows[10].startswith("geodesic over straight length, 2 pairs: median ")
    assert rows[-1] == f"written to {stem}.json"
    assert (tmp_path / "plane.png").stat().st_size > 1000
    assert (tmp_path / "plane.svg").stat().st_size > 1000
    results = json.loads((tmp_path / "plane.json").read_text())
    paths = results["paths"]
    assert 0 < paths["geodesic"]["length"] <= paths["straight"]["length"] * 1.001
    assert len(paths["straight"]["sentences"]) == 3
    assert results["correlation"] is None  # a model without a flow changes no volume
    assert rows[0] != rows[5]
    assert len(results["pairs"]["shown"]) == 1
    assert results["pairs"]["num_pairs"] == len(results["pairs"]["pairs"]) == 2


def test_paths_fit_the_line():
    paths = {
        "straight": {"length": 2.0, "sentences": ["a dog", "far " * 12, "", ""]},
        "geodesic": {"length": 1.5, "sentences": ["a dog", "", "birds sing " * 9, ""]},
    }
    lines = side_by_side(paths, "fisher", width=60).splitlines()
    assert max(map(len, lines)) <= 60
    columns = list(zip(*(line.partition("|")[::2] for line in lines), strict=True))
    for column, path in zip(columns, paths.values(), strict=True):
        words = " ".join(column).split()
        assert words[-sum(len(text.split()) for text in path["sentences"]) :] == (
            " ".join(path["sentences"]).split()
        )
    assert lines[-1].strip() == "|"


def test_plane_goes_through_a_third_sentence(workdir, tmp_path, capsys):
    """One of the files may be named in place of their stem."""
    arguments = [f"--workdir={workdir}", f"--output={tmp_path / 'a.b.png'}", START, END, *SMALL]
    third = ["--through=birds sing", "--features=state"]
    assert cli.main(["geometry", *arguments, *third]) == 0
    assert "decoder state length" in capsys.readouterr().out
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["a.b.json", "a.b.pdf", "a.b.png", "a.b.svg"]


def test_every_interpolation_keeps_the_ends(workdir, capsys):
    arguments = [f"--workdir={workdir}", START, END, "--num_points=3"]
    texts = []
    for path in ("straight", "spherical", "geodesic"):
        assert cli.main(["interpolate", *arguments, f"--path={path}"]) == 0
        texts.append(capsys.readouterr().out.splitlines()[1:-1])  # without what was given
    assert [len(text) for text in texts] == [3, 3, 3]
    assert len({(text[0], text[-1]) for text in texts}) == 1


def test_what_has_no_plane_is_refused(workdir, lm_workdir, refusal):
    geometry = ("geometry", START, END, *SMALL)
    assert "has no latent code" in refusal(*geometry, f"--workdir={lm_workdir}")
    same = ("geometry", START, "--end=the  cat sat", f"--workdir={workdir}")
    assert "are the same sentence" in refusal(*same)
    assert "--end is missing" in refusal("geometry", START, f"--workdir={workdir}")


@pytest.mark.slow
def test_one_dimension_has_no_plane(text_folder, tmp_path, refusal, capsys):
    changes = {"model.latent_dim": 1, "train.num_epochs": 1}
    assert cli.main(train_arguments(text_folder, tmp_path / "one", **changes)) == 0
    capsys.readouterr()
    geometry = ("geometry", START, END, *SMALL)
    assert "at least 2 latent dimensions" in refusal(*geometry, f"--workdir={tmp_path / 'one'}")
