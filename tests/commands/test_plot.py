import json
import shutil

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation import curves_picture, systems_picture

ENDS = ("pdf", "png", "svg")


def test_plot_draws_curves_and_systems(workdir, lm_workdir, tmp_path, capsys):
    arguments = [str(workdir), str(lm_workdir), f"--output={tmp_path / 'plots'}"]
    assert cli.main(["plot", *arguments]) == 0
    files = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert files == [f"{name}.{end}" for name in ("curves", "systems") for end in ENDS]
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 6
    assert captured.err == ""


def test_runs_of_one_system_are_told_apart_by_their_folders(workdir, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        curves_picture, "save_training_curves", lambda runs, stem: seen.update(runs) or []
    )
    monkeypatch.setattr(systems_picture, "save_systems", lambda systems, stem, corpora: [])
    other = shutil.copytree(workdir, tmp_path / "again")
    assert cli.main(["plot", str(workdir), str(other), f"--output={tmp_path}"]) == 0
    assert list(seen) == ["vae", "vae (again)"]
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert seen["vae (again)"] == [json.loads(line) for line in lines]
    seen.clear()
    same = shutil.copytree(workdir, tmp_path / "elsewhere" / "vae")
    assert cli.main(["plot", str(workdir), str(same), f"--output={tmp_path}"]) == 0
    assert list(seen) == [f"vae ({workdir})", f"vae ({same})"]


def test_test_results_are_shown_where_there_are_any(
    workdir, lm_workdir, checkout_with_run, tmp_path, monkeypatch, capsys
):
    seen = {}

    def save_systems(systems, stem, corpora):
        seen.update(systems, corpora=corpora)
        return []

    monkeypatch.setattr(systems_picture, "save_systems", save_systems)
    tested = shutil.copytree(workdir, tmp_path / "tested")
    few = ["--num_samples=2", "--num_generated=0", "--num_reconstructions=0"]
    assert cli.main(["evaluate", f"--workdir={tested}", *few]) == 0
    metrics = json.loads((tested / "results.json").read_text())["metrics"]
    others = [str(lm_workdir), str(checkout_with_run / "runs" / "reviews")]
    assert cli.main(["plot", str(tested), *others, f"--output={tmp_path / 'plots'}"]) == 0
    assert seen["vae"] == systems_picture.System(metrics, tested=True)
    assert metrics["kl_se"] > 0
    assert (seen["lm"].tested, seen["lm"].has_code) == (False, False)
    assert len(seen["corpora"]) == 2
    assert "the runs are on different corpora and cannot be compared" in capsys.readouterr().err


def test_plot_refuses_what_it_cannot_read(workdir, tmp_path, refusal):
    assert "--workdirs is missing" in refusal("plot")
    assert "holds no run" in refusal("plot", tmp_path)
    for again in (workdir, f"{workdir}/../{workdir.name}"):
        assert "is named twice: name each workdir once" in refusal("plot", workdir, again)
    empty = shutil.copytree(workdir, tmp_path / "empty")
    (empty / "metrics.jsonl").write_text("")
    assert "holds no metrics yet" in refusal("plot", empty)
