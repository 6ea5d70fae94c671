import json
import shutil

import jax
import numpy as np

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation.workdir_summary import metric_lines, workdir_summary
from wae_rnf_jax.runs.trained_model import load_trained_model


def test_info_tells_what_the_run_is(workdir, tmp_path, capsys):
    copied = shutil.copytree(workdir, tmp_path / "copy")
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    out = capsys.readouterr().out
    for part in (
        "vae",
        "sentences: train 40, valid 9, test 7",
        "step 10 of 10, epoch 2 of 2",
        "latest: 5, 10",
        "evaluation uses: 10",
        "none yet: wae-rnf evaluate",
        "valid, step 10: kl",
        "total",
    ):
        assert part in out
    assert cli.main(["evaluate", f"--workdir={copied}", "--num_samples=2"]) == 0
    capsys.readouterr()
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    out = capsys.readouterr().out
    assert "test split, step 10, S = 2 draws:" in out
    assert "nll_iw" in out
    results = json.loads((copied / "results.json").read_text())
    results["settings"]["step"] = 5
    (copied / "results.json").write_text(json.dumps(results))
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    said = "from another checkpoint than the one that evaluation now uses, step 10"
    assert said in capsys.readouterr().out


def test_steps_beside_those_of_the_epochs_are_not_counted_with_them(workdir, tmp_path, capsys):
    copied = shutil.copytree(workdir, tmp_path / "copy")
    config = json.loads((copied / "config.json").read_text())
    config["procedure"] = {"name": "lagging", "window": 2, "most_encoder_steps": 3}
    (copied / "config.json").write_text(json.dumps(config))
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    assert "step 10; 10 make 2 epochs\n" in capsys.readouterr().out


def test_parameters_are_those_of_the_checkpoint(workdir):
    counts = workdir_summary(workdir).parameters
    params = load_trained_model(workdir).model.variables["params"]
    parts = {"embedding", "encoder", "posterior", "decoder", "output_layer"}
    assert set(counts) == set(params) == parts
    for name, module in params.items():
        assert counts[name] == sum(np.size(leaf) for leaf in jax.tree.leaves(module))


def test_a_run_that_has_only_begun_is_told_too(workdir, tmp_path, capsys):
    copied = shutil.copytree(workdir, tmp_path / "copy")
    shutil.rmtree(copied / "checkpoints")
    (copied / "metrics.jsonl").unlink()
    manifest = json.loads((copied / "corpus" / "corpus.json").read_text())
    del manifest["num_train"]
    (copied / "corpus" / "corpus.json").write_text(json.dumps(manifest))
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    assert "step 0 of 10" in capsys.readouterr().out  # the cache knows the training split
    config = json.loads((copied / "config.json").read_text())
    config["data"]["cache_dir"] = str(tmp_path / "none")
    (copied / "config.json").write_text(json.dumps(config))
    assert cli.main(["info", f"--workdir={copied}"]) == 0
    out = capsys.readouterr().out
    assert "train unknown" in out
    assert "step 0 (of 2 epochs of unknown length)" in out
    assert "latest: none" in out


def test_metrics_end_at_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "split": "train"}\n{"step": 2, "split": "valid"}\n{"step": 3, "sp')
    assert [(line["split"], line["step"]) for line in metric_lines(path)] == [
        ("train", 1),
        ("valid", 2),
    ]


def test_a_folder_without_a_run_is_refused(tmp_path, refusal):
    assert "holds no run" in refusal("info", f"--workdir={tmp_path}")
    assert "--workdir is missing" in refusal("info")


def test_a_run_in_other_words_or_nearby_is_named(workdir, tmp_path, refusal):
    said = refusal("info", workdir)
    assert f"unexpected argument '{workdir}'; did you mean --workdir={workdir}?" in said
    assert "did you mean" not in refusal("info", f"--workdir={workdir}", "more")
    copied = shutil.copytree(workdir, tmp_path / "runs" / "copy")
    for deeper in (copied / "checkpoints" / "latest" / "10", copied / "corpus"):
        said = refusal("sample", f"--workdir={deeper}")
        assert said.endswith(f"holds no run (no config.json): did you mean {copied}?")
    said = refusal("evaluate", f"--workdir={tmp_path / 'runs'}")
    assert said.endswith(f"did you mean {copied}?")
    other = shutil.copytree(workdir, tmp_path / "runs" / "other")
    said = refusal("evaluate", f"--workdir={tmp_path / 'runs'}")
    assert said.endswith(f"did you mean {copied} or {other}?")
