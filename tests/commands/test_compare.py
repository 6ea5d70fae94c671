import json
import shutil
import statistics

import pytest
from command_runs import train_arguments

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


def test_other_formats_hold_the_same_metrics(evaluated, capsys):
    workdirs = [evaluated / "vae", evaluated / "lm"]
    content = json.loads(compared(capsys, *workdirs, "--format=json"))
    metrics = {run["name"]: run["metrics"] for run in content["runs"]}
    assert content["published"] == []
    header, *rows = (
        line.split("\t") for line in compared(capsys, *workdirs, "--format=tsv").splitlines()
    )
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        of_run = metrics[cells.pop("model")]
        written = {name: float(cell) for name, cell in cells.items() if cell}
        assert written == {name: of_run[name] for name in written}
        assert set(cells) >= {"nll_iw", "nll_paper", "self_bleu"}
    markdown = compared(capsys, *workdirs, "--format=markdown")
    assert f"| vae | {metrics['vae']['nll_iw']:.2f} |" in markdown


def test_published_metrics_stand_beside_runs_of_their_corpus(evaluated, capsys, monkeypatch):
    assert cli.main(["compare", str(evaluated / "vae"), "--published"]) == 0
    assert "no published values" in capsys.readouterr().err
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
    draws = results["metrics"]["num_samples"]
    results["metrics"]["num_samples"] = draws + 5
    (other / "results.json").write_text(json.dumps(results))
    out = compared(capsys, evaluated / "vae", evaluated / "lm", other)
    (note,) = (line for line in out.splitlines() if "different numbers of draws" in line)
    assert note.endswith(f"({draws}: vae; {draws + 5}: more).")
    assert "draws" not in compared(capsys, evaluated / "vae", evaluated / "lm").splitlines()[-1]


def test_other_proposals_are_told(evaluated, tmp_path, capsys):
    other = shutil.copytree(evaluated / "vae", tmp_path / "wider")
    results = json.loads((other / "results.json").read_text())
    results["metrics"]["proposal_scale"] = 1.2
    (other / "results.json").write_text(json.dumps(results))
    out = compared(capsys, evaluated / "vae", other)
    (note,) = (line for line in out.splitlines() if "different proposals" in line)
    assert note.endswith("(1.0: vae; 1.2: wider).")


@pytest.fixture(scope="module")
def seeds(text_folder, tmp_path_factory):
    """Three runs that differ in the seed alone, evaluated."""
    folder = tmp_path_factory.mktemp("seeds") / "wae"
    arguments = train_arguments(text_folder, folder, "wae", **{"train.num_epochs": 1})
    for _ in range(2):  # the second time, all of them are done
        assert cli.main([*arguments, "--seeds=0,3,7"]) == 0
    workdirs = [folder / f"seed_{seed}" for seed in (0, 3, 7)]
    few = ["--num_samples=2", "--num_generated=0", "--num_reconstructions=0"]
    for workdir in workdirs:
        assert cli.main(["evaluate", f"--workdir={workdir}", *few]) == 0
    return workdirs


def test_seeds_are_one_line_whatever_does_not_change_a_number(seeds, tmp_path, capsys):
    copies = [shutil.copytree(seed, tmp_path / seed.parent.name / seed.name) for seed in seeds]

    def changed(change):
        path = copies[1] / "results.json"
        results = json.loads(path.read_text())
        change(results)
        path.write_text(json.dumps(results))
        return compared(capsys, *copies).splitlines()[1].split("  ")[0]

    assert changed(lambda r: r["settings"].update(batch_size=3)) == "wae (3 seeds)"
    assert changed(lambda r: r["settings"].pop("proposal_scale")) == "wae (3 seeds)"
    assert changed(lambda r: r["metrics"].update(num_generated=7)) == "wae (2 seeds)"


def test_runs_that_differ_in_the_seed_alone_are_one_line(seeds, evaluated, capsys):
    metrics = [json.loads((workdir / "results.json").read_text())["metrics"] for workdir in seeds]
    out = compared(capsys, *seeds, evaluated / "vae")
    rows = out.splitlines()[1:3]
    assert rows[0].startswith("wae (3 seeds)  ")
    assert rows[1].startswith("vae  ")
    nll = [of_run["nll_iw"] for of_run in metrics]
    assert len(set(nll)) == 3
    assert f" {statistics.mean(nll):.2f} ± {statistics.stdev(nll):.2f} " in rows[0]
    assert "standard deviation over runs that differ only in their seed" in out
    content = json.loads(compared(capsys, *seeds, "--format=json"))
    (pooled,) = content["seeds"]
    assert pooled["runs"] == [str(workdir) for workdir in seeds]
    assert pooled["mean"]["nll_iw"] == pytest.approx(statistics.mean(nll))
    assert pooled["deviation"]["nll_iw"] == pytest.approx(statistics.stdev(nll))
    assert pooled["mean"]["num_samples"] == 2
    assert "num_samples" not in pooled["deviation"]
    header, row = (
        line.split("\t") for line in compared(capsys, *seeds, "--format=tsv").splitlines()
    )
    cells = dict(zip(header, row, strict=True))
    assert float(cells["nll_iw_sd"]) == pytest.approx(statistics.stdev(nll))
    each = compared(capsys, *seeds, "--nopool").splitlines()
    assert [line.split()[0] for line in each[1:4]] == ["seed_0", "seed_3", "seed_7"]


def test_what_differs_in_more_than_the_seed_is_not_joined(seeds, evaluated, tmp_path, capsys):
    twice = shutil.copytree(seeds[0], tmp_path / "copy")
    out = compared(capsys, seeds[0], twice)
    assert "seeds)" not in out
    more = shutil.copytree(seeds[1], tmp_path / "more")
    config = json.loads((more / "config.json").read_text())
    config["objective"]["mmd_weight"] = 3.0
    (more / "config.json").write_text(json.dumps(config))
    assert "seeds)" not in compared(capsys, seeds[0], more)
    config["objective"]["mmd_weight"] = 10.0
    (more / "config.json").write_text(json.dumps(config))
    assert "seeds)" in compared(capsys, seeds[0], more)
    config["train"]["select"] = "last"
    (more / "config.json").write_text(json.dumps(config))
    assert "seeds)" not in compared(capsys, seeds[0], more)


def test_metrics_of_an_earlier_step_are_told(evaluated, tmp_path, capsys):
    assert "was evaluated at step" not in compared(capsys, evaluated / "vae")
    earlier = shutil.copytree(evaluated / "vae", tmp_path / "earlier")
    results = json.loads((earlier / "results.json").read_text())
    results["settings"]["step"] = 5
    (earlier / "results.json").write_text(json.dumps(results))
    said = "earlier was evaluated at step 5, and its model is now that of step 10."
    assert said in compared(capsys, earlier).splitlines()
    assert cli.main(["plot", str(earlier), f"--output={tmp_path / 'plots'}"]) == 0
    assert "was evaluated at step 5, and its model" in capsys.readouterr().err
    assert cli.main(["export", f"--workdir={earlier}", f"--output={tmp_path / 'exported'}"]) == 0
    assert "of step 10: the results are left out" in capsys.readouterr().err
    assert not (tmp_path / "exported" / "results.json").exists()
    assert "- not evaluated" in (tmp_path / "exported" / "README.md").read_text()


def test_seeds_that_are_none_are_refused(seeds, text_folder, refusal):
    train = train_arguments(text_folder, seeds[0].parent, "wae")
    assert "'x' is not a whole number" in refusal(*train, "--seeds=0,x")
    assert "give each seed once" in refusal(*train, "--seeds=1,1")
    of_one = train_arguments(text_folder, seeds[0], "wae")
    assert "holds a run of one seed" in refusal(*of_one, "--seeds=0,1")


def test_what_cannot_be_compared_is_refused(evaluated, workdir, tmp_path, refusal, capsys):
    capsys.readouterr()
    assert "no workdir to compare" in refusal("compare")
    assert "holds no run" in refusal("compare", tmp_path)
    fresh = shutil.copytree(evaluated / "vae", tmp_path / "fresh")
    (fresh / "results.json").unlink()
    assert f"run `wae-rnf evaluate --workdir={fresh}` first" in refusal("compare", fresh)
    assert "named twice" in refusal("compare", evaluated / "vae", evaluated / "vae")
    for content in ("{", "{}", '{"metrics": {}, "split": "test", "settings": {}}'):
        (fresh / "results.json").write_text(content)
        assert "evaluate the run again" in refusal("compare", fresh)
