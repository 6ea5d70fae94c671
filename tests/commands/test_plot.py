import json
import shutil

from wae_rnf_jax import cli


def test_plot_draws_curves_and_systems(workdir, lm_workdir, tmp_path, capsys):
    arguments = [str(workdir), str(lm_workdir), f"--output={tmp_path / 'plots'}"]
    assert cli.main(["plot", *arguments]) == 0
    files = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert files == ["curves.png", "curves.svg", "systems.png", "systems.svg"]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_runs_of_one_system_are_told_apart_by_their_folders(workdir, tmp_path, monkeypatch):
    from wae_rnf_jax.evaluation import pictures

    seen = {}
    monkeypatch.setattr(
        pictures, "save_training_curves", lambda runs, stem: seen.update(runs) or []
    )
    monkeypatch.setattr(pictures, "save_systems", lambda figures, stem: [])
    other = shutil.copytree(workdir, tmp_path / "again")
    assert cli.main(["plot", str(workdir), str(other), f"--output={tmp_path}"]) == 0
    assert list(seen) == ["vae", "vae (again)"]
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert seen["vae (again)"] == [json.loads(line) for line in lines]
    seen.clear()
    same = shutil.copytree(workdir, tmp_path / "elsewhere" / "vae")
    assert cli.main(["plot", str(workdir), str(same), f"--output={tmp_path}"]) == 0
    assert list(seen) == [f"vae ({workdir})", f"vae ({same})"]


def test_plot_refuses_what_it_cannot_read(workdir, tmp_path, refusal):
    assert "--workdirs is missing" in refusal("plot")
    assert "holds no run" in refusal("plot", tmp_path)
    for again in (workdir, f"{workdir}/../{workdir.name}"):
        assert "is named twice: name each workdir once" in refusal("plot", workdir, again)
    empty = shutil.copytree(workdir, tmp_path / "empty")
    (empty / "metrics.jsonl").write_text("")
    assert "holds no metrics yet" in refusal("plot", empty)
