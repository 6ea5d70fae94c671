import json
import shutil

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation.probes import probe_metrics
from wae_rnf_jax.trained import load_run

FEW = ("--num_samples=2", "--num_generated=0", "--num_reconstructions=0")


def test_metrics_of_labels_are_shown(checkout_with_run, capsys):
    workdir = checkout_with_run / "runs" / "reviews"
    expected = probe_metrics(load_run(workdir).trained)
    assert cli.main(["probe", f"--workdir={workdir}", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in expected} == expected
    assert (found["num_probe_train"], found["num_probe"]) == (48, 12)
    assert cli.main(["probe", f"--workdir={workdir}", "--split=valid", "--num_train=30"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("wae_nf, step 24, split valid\n")
    assert "accuracy of labels predicted from word counts" in out


def test_evaluation_has_them_where_there_are_labels(checkout_with_run, tmp_path, capsys):
    workdir = shutil.copytree(checkout_with_run / "runs" / "reviews", tmp_path / "reviews")
    expected = probe_metrics(load_run(workdir).trained, num_train=20)
    assert cli.main(["evaluate", f"--workdir={workdir}", *FEW, "--num_probe=20"]) == 0
    metrics = json.loads((workdir / "results.json").read_text())["metrics"]
    assert {name: metrics[name] for name in expected} == expected
    capsys.readouterr()
    assert cli.main(["compare", str(workdir)]) == 0
    assert "Probe acc." in capsys.readouterr().out
    config = json.loads((workdir / "config.json").read_text())
    config["data"]["cache_dir"] = str(tmp_path / "empty")
    (workdir / "config.json").write_text(json.dumps(config))
    assert cli.main(["evaluate", f"--workdir={workdir}", *FEW]) == 0
    assert "the label probe is skipped: the train split" in capsys.readouterr().err
    assert "probe_accuracy" not in json.loads((workdir / "results.json").read_text())["metrics"]


def test_text_without_labels_is_refused(workdir, refusal):
    said = refusal("probe", f"--workdir={workdir}")
    assert "no labels to predict from codes" in said
