"""`wae-rnf export`: a folder that stands in for the workdir everywhere but in resuming."""

import json
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_runs import train_arguments

from wae_rnf_jax import cli
from wae_rnf_jax.commands import COMMANDS
from wae_rnf_jax.trained import load_run

FEW = ("--num_samples=2", "--num_generated=4", "--num_reconstructions=4")
ENDS = ("--start=the food was good", "--end=the food was bad", "--num_points=2", "--max_length=4")


@pytest.fixture(scope="module")
def source(checkout_with_run, tmp_path_factory):
    """An evaluated run of labelled text."""
    workdir = tmp_path_factory.mktemp("source") / "reviews"
    shutil.copytree(checkout_with_run / "runs" / "reviews", workdir)
    assert cli.main(["evaluate", f"--workdir={workdir}", *FEW]) == 0
    return workdir


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "handed_on"
    assert cli.main(["export", f"--workdir={source}", f"--output={folder}"]) == 0
    return folder


def test_the_folder_holds_the_model_and_no_sentence(exported, source):
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*")}
    assert names == {
        *("README.md", "config.json", "metrics.jsonl", "model.safetensors", "results.json"),
        *("corpus", "corpus/corpus.json", "corpus/vocabulary.txt"),
    }
    card = (exported / "README.md").read_text()
    assert "# handed_on" in card
    assert "system `wae_nf`, step 24" in card
    assert "posterior `gaussian` of 2 dimensions" in card
    assert "labels of the text: good, bad" in card
    metrics = json.loads((source / "results.json").read_text())["metrics"]
    assert f"`nll_iw` {metrics['nll_iw']:.4g}" in card


def test_it_is_read_back_as_it_was(exported, source):
    there, here = load_run(exported), load_run(source)
    assert there.config == here.config
    assert (there.step, there.labels) == (here.step, here.labels)
    assert there.vocabulary == here.vocabulary
    assert jax.tree.structure(there.variables) == jax.tree.structure(here.variables)
    jax.tree.map(np.testing.assert_array_equal, there.variables, here.variables)
    assert there.split("test") == here.split("test")


def test_its_parameters_can_be_rounded(exported, source, tmp_path):
    folder = tmp_path / "rounded"
    export = ["export", f"--workdir={source}", f"--output={folder}"]
    assert cli.main([*export, "--dtype=bfloat16"]) == 0
    there, here = load_run(folder), load_run(source)

    def rounded(x):
        return np.asarray(x).astype(jnp.bfloat16).astype(np.float32)

    wanted = {**here.variables, "params": jax.tree.map(rounded, here.variables["params"])}
    jax.tree.map(np.testing.assert_array_equal, dict(there.variables), wanted)
    assert {leaf.dtype for leaf in jax.tree.leaves(there.variables)} == {jnp.dtype(jnp.float32)}
    assert there.sample(2, seed=0) != []
    # Its numbers are not those of the run: it is to be evaluated itself.
    assert not (folder / "results.json").exists()
    card = (folder / "README.md").read_text()
    assert "stored in bfloat16" in card
    assert "\n- not evaluated\n" in card
    for samples in (2, 3):
        assert (
            cli.main(["evaluate", f"--workdir={folder}", *FEW[1:], f"--num_samples={samples}"]) == 0
        )
        metrics = json.loads((folder / "results.json").read_text())["metrics"]
        found = f"- test split, S = {samples} draws: `nll_iw` {metrics['nll_iw']:.4g}, "
        assert (folder / "README.md").read_text().count(found) == 1
    (folder / "README.md").write_text("my model\n- not evaluated by me\n")
    assert cli.main(["evaluate", f"--workdir={folder}", *FEW]) == 0
    assert (folder / "README.md").read_text() == "my model\n- not evaluated by me\n"
    sizes = [(place / "model.safetensors").stat().st_size for place in (folder, exported)]
    assert sizes[0] < 0.8 * sizes[1]


def test_every_command_reads_it(exported, source, tmp_path, stdin, capsys):
    folder = shutil.copytree(exported, tmp_path / "copy")
    of = f"--workdir={folder}"
    np.savez(tmp_path / "codes.npz", codes=np.zeros((1, 2)))
    arguments = {
        "info": [of],
        "evaluate": [of, *FEW],
        "compare": [str(folder), str(source)],
        "sample": [of, "--num=1", "--max_length=4"],
        "reconstruct": [of, "--max_length=4"],
        "interpolate": [of, *ENDS],
        "geometry": [of, *ENDS[:2], "--grid=2", "--num_codes=4", "--num_points=2", "--num_knots=2"],
        "plot": [str(folder), f"--output={tmp_path}/plots"],
        "score": [of, "--num_samples=2"],
        "encode": [of, "--split=test", f"--output={tmp_path}/c.npz"],
        "decode": [of, f"--input={tmp_path}/codes.npz", "--max_length=4"],
        "shift": [of, "--from_label=bad", "--to_label=good", "--max_length=4"],
        "export": [of, f"--output={tmp_path}/again"],
    }
    assert set(arguments) >= set(COMMANDS) - {"prepare", "train", "probe"}
    for name, given in arguments.items():
        stdin("the food was good\n")
        assert cli.main([name, *given]) == 0, name
        out = capsys.readouterr().out
        assert out
        if name == "info":
            assert "exported: 24" in out
    again = (tmp_path / "again" / "model.safetensors").read_bytes()
    assert again == (exported / "model.safetensors").read_bytes()


def test_its_metrics_are_those_of_the_run(exported, source, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    assert cli.main(["evaluate", f"--workdir={folder}", *FEW]) == 0
    results = [json.loads((place / "results.json").read_text()) for place in (folder, source)]
    assert results[0] == results[1]


def test_without_the_cache_only_the_splits_are_missing(exported, tmp_path, stdin, capsys, refusal):
    folder = shutil.copytree(exported, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    config["data"]["cache_dir"] = str(tmp_path / "empty")
    (folder / "config.json").write_text(json.dumps(config))
    assert cli.main(["sample", f"--workdir={folder}", "--num=1"]) == 0
    assert cli.main(["info", f"--workdir={folder}"]) == 0
    assert "train 48, valid unknown, test unknown" in capsys.readouterr().out
    said = refusal("evaluate", f"--workdir={folder}")
    assert "the test split is not kept with the model" in said


def test_training_starts_from_it_and_does_not_resume_it(exported, source, tmp_path, refusal):
    text = Path(load_run(source).config["data"]["path"])

    labelled = {"data.label": "leading", "train.num_epochs": 4}
    train = train_arguments(text, exported, "wae_nf", **labelled)
    said = refusal(*train)
    assert "holds an exported model" in said
    assert f"--init_from={exported}" in said
    begun = train_arguments(text, tmp_path / "run", "wae_nf", **labelled)
    assert cli.main([*begun, f"--init_from={exported}"]) == 0


def test_damage_is_told(exported, tmp_path, refusal):
    folder = shutil.copytree(exported, tmp_path / "copy")
    model = folder / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    assert f"{model} cannot be read" in refusal("sample", f"--workdir={folder}")
    model.write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    config["model"]["flow"] = "radial"
    (folder / "config.json").write_text(json.dumps(config))
    assert "does not have the configuration of the config.json" in refusal(
        "sample", f"--workdir={folder}"
    )


def test_places_that_cannot_be_made_are_refused(source, exported, tmp_path, refusal):
    export = ("export", f"--workdir={source}")
    assert "--output is missing: name a folder to create" in refusal(*export)
    assert "already exists" in refusal(*export, f"--output={exported}")
    assert f"no folder {tmp_path}/none" in refusal(*export, f"--output={tmp_path}/none/x")
    assert "name a local folder" in refusal(*export, "--output=gs://bucket/x")


def test_without_safetensors_it_is_said_in_one_sentence(
    source, exported, tmp_path, refusal, monkeypatch
):
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    needed = "needs safetensors, which is not installed: pip install 'wae-rnf-jax[export]'"
    assert needed in refusal("export", f"--workdir={source}", f"--output={tmp_path}/x")
    assert needed in refusal("sample", f"--workdir={exported}")
    assert list(tmp_path.iterdir()) == []
