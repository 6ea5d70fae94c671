"""Every command works with other posteriors and decoders, or says in one sentence why not."""

import json

import numpy as np
import pytest
from command_runs import train_arguments

from wae_rnf_jax import cli

SYSTEMS = ("wae_vmf", "dilated_cnn", pytest.param("transformer", marks=pytest.mark.slow))
ENDS = ("--start=the cat sat", "--end=birds sing", "--num_points=3")


@pytest.fixture(scope="module", params=SYSTEMS)
def workdir(request, text_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("systems") / request.param
    assert cli.main(train_arguments(text_folder, folder, request.param)) == 0
    return folder


def on_sphere(workdir):
    return workdir.name == "wae_vmf"


def printed(capsys, *arguments):
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_it_is_evaluated_and_told_of(workdir, capsys):
    table = printed(capsys, "evaluate", f"--workdir={workdir}", "--num_samples=3")
    metrics = json.loads((workdir / "results.json").read_text())["metrics"]
    assert {"nll_iw", "kl", "mi", "au", "recon_bleu", "novel"} <= metrics.keys()
    assert all(np.isfinite(metrics[name]) for name in ("nll_iw", "kl", "mi"))
    for name in ("kl_base", "nll_paper"):
        assert (name in metrics) == (name in table) == (not on_sphere(workdir))
    assert "nll_iw" in printed(capsys, "info", f"--workdir={workdir}")
    assert workdir.name in printed(capsys, "compare", workdir)


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_it_writes_sentences(workdir, strategy, capsys, tmp_path):
    flags = (f"--workdir={workdir}", f"--strategy={strategy}", "--max_length=5")
    first = printed(capsys, "sample", "--num=70", *flags)
    assert len(first.splitlines()) == 70  # more than are decoded at once
    assert printed(capsys, "sample", "--num=3", *flags).splitlines() == first.splitlines()[:3]
    (tmp_path / "input.txt").write_text("the cat sat\nbirds sing\n")
    shown = printed(capsys, "reconstruct", f"--input={tmp_path / 'input.txt'}", *flags)
    assert len(shown.splitlines()) == 4


def test_it_walks_between_sentences(workdir, capsys, refusal):
    for path in ("straight", "spherical"):
        command = ("interpolate", f"--workdir={workdir}", f"--path={path}", *ENDS)
        assert len(printed(capsys, *command).splitlines()) == 5
    command = ("interpolate", f"--workdir={workdir}", "--path=geodesic", *ENDS)
    if on_sphere(workdir):
        assert "codes lie on the unit sphere" in refusal(*command)
    else:
        assert len(printed(capsys, *command).splitlines()) == 5


def test_its_codes_and_scores_are_written(workdir, capsys, stdin, tmp_path):
    stdin("the cat sat\nbirds sing\n")
    printed(capsys, "encode", f"--workdir={workdir}", f"--output={tmp_path / 'codes.npz'}")
    arrays = np.load(tmp_path / "codes.npz")
    if on_sphere(workdir):
        assert {"codes", "mean_direction", "concentration", "sentences"} == set(arrays)
        np.testing.assert_allclose(np.linalg.norm(arrays["codes"], axis=1), 1, atol=1e-5)
    else:
        assert {"codes", "mean", "log_var", "sentences"} == set(arrays)
    stdin("the cat sat\nbirds sing\n")
    rows = printed(capsys, "score", f"--workdir={workdir}", "--num_samples=2", "--format=tsv")
    assert len(rows.splitlines()) == 3


def test_geometry_is_drawn_or_refused(workdir, refusal, capsys, tmp_path):
    sizes = ("--grid=2", "--num_codes=4", "--num_knots=2", f"--output={tmp_path / 'plane'}")
    command = ("geometry", f"--workdir={workdir}", *ENDS, *sizes)
    if on_sphere(workdir):
        assert "codes lie on the unit sphere" in refusal(*command)
        assert not (tmp_path / "plane.png").exists()
        return
    # Of so short a training the codes may lie on a line; through three sentences there is a plane.
    printed(capsys, *command, "--through=a dog ran far away")
    assert (tmp_path / "plane.png").exists()
    message = refusal(*command, "--features=state")
    assert message.endswith(
        "the decoder has no initial state to pull a metric back from: use --features=fisher"
    )


def test_what_makes_no_sense_together_is_refused(text_folder, tmp_path, refusal):
    for system, changes, message in (
        ("vmf", {"model.num_flow_steps": 2}, "flow steps are maps of R^Z, which need posterior"),
        ("vmf", {"model.latent_dim": 1}, "lies on the unit sphere and needs at least 2"),
        ("vae", {"posterior.concentration": 3.0}, "no such key when name is gaussian"),
        ("wae_rnf", {"posterior.name": "vmf"}, "objective wae_rnf needs codes that fill R^Z"),
        ("wae_vmf", {"objective.name": "wae_paper"}, "objective wae_paper needs codes that fill"),
        ("wae_rnf_state", {"decoder.name": "dilated_cnn"}, "dilated_cnn has no initial state"),
        ("vae", {"train.momentum": 0.5}, "it is read only if train.optimizer is sgd,"),
    ):
        arguments = train_arguments(text_folder, tmp_path / "run", system, **changes)
        assert message in refusal(*arguments)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "system, changes",
    [
        ("vae", {"decoder.name": "dilated_cnn", "decoder.dilations": "(1,2)"}),
        ("vae", {"model.tied_output": True, "model.hidden_dim": 12}),
        *(
            pytest.param(*values, marks=pytest.mark.slow)
            for values in (
                ("vmf", {"decoder.name": "dilated_cnn"}),
                ("lm", {"decoder.name": "dilated_cnn"}),
                ("vae", {"model.shared_embedding": False}),
            )
        ),
    ],
)
def test_parts_are_combined_on_the_command_line(system, changes, text_folder, tmp_path, capsys):
    workdir = tmp_path / "run"
    changes = {**changes, "train.num_epochs": 1}
    if "dilated_cnn" in changes.values() and system == "vmf":
        changes["decoder.z_every_step"] = "False"
    arguments = train_arguments(text_folder, workdir, system, **changes)
    assert cli.main(arguments) == 0
    config = json.loads((workdir / "config.json").read_text())
    if "decoder.dilations" in changes:
        assert config["decoder"] == {"name": "dilated_cnn", "dilations": [1, 2], "internal_dim": 0}
    assert printed(capsys, "sample", f"--workdir={workdir}", "--num=2").count("\n") == 2
    assert cli.main(arguments) == 0  # the same run: a tuple and the list that JSON makes of it
    assert "already trained" in capsys.readouterr().out
