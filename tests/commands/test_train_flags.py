"""Flags of `train`: a dry run, another run's model to start from, traces, NaNs, logging."""

import gzip
import json
import logging
import re
import shutil

import jax
import pytest
from absl import logging as absl_logging
from command_runs import train_arguments, write_text

from wae_rnf_jax import cli
from wae_rnf_jax.evaluation.workdir_summary import workdir_summary
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.runs.workdir import read_config


def test_a_dry_run_says_what_the_run_will_take_and_leaves_nothing(
    workdir, lm_workdir, text_folder, tmp_path, capsys
):
    arguments = train_arguments(text_folder, tmp_path / "run", "vae", **{"train.average": 0.9})
    assert cli.main([*arguments, "--dry_run", f"--init_from={lm_workdir}"]) == 0
    out = capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    counts = workdir_summary(workdir).parameters
    for name, count in {**counts, "total": sum(counts.values())}.items():
        assert re.search(rf"^{name} +{count:,} +{4 * count:,}$", out, re.MULTILINE)
    for line in (
        r"vocabulary: 14 types",
        r"steps        10: 2 epochs of 5",
        r"fresh        .*encoder, posterior",
        r"\[8, 5\] +5 +40 +\d+\.\d%",
        rf"parameters +{4 * sum(counts.values()):,}",
        rf"average of parameters +{4 * sum(counts.values()):,}",
        r"step: workspace +[\d,]+",
        r"a step on \[8, 5\] takes \d.*FLOPs",
    ):
        assert re.search(line, out), line
    (parts, total) = re.search(
        r"\nparameters.*?(\d.*)\nstate, total +([\d,]+)\n", out, re.DOTALL
    ).groups()
    sizes = [int(size.replace(",", "")) for size in re.findall(r"[\d,]+$", parts, re.MULTILINE)]
    assert 0 <= int(total.replace(",", "")) - sum(sizes) < 100  # its counters


def test_a_run_begun_from_another_never_needs_it_again(
    text_folder, lm_workdir, tmp_path, capsys, refusal
):
    other = shutil.copytree(lm_workdir, tmp_path / "lm")
    arguments = train_arguments(text_folder, tmp_path / "run", "vae")
    begun = [*arguments, f"--init_from={other}/", "--init_parts=embedding,decoder,output_layer"]
    assert cli.main([*begun, "--log_level=info"]) == 0
    captured = capsys.readouterr()
    assert f"starts from  {other}, step 10" in captured.out
    assert "words        14 of 14 found there\n" in captured.out
    assert re.search("INFO .*[Ss]av", captured.err)  # Orbax' own lines
    record = json.loads((tmp_path / "run" / "init_from.json").read_text())
    assert "decoder/lstm" in record["taken"]
    assert set(record["fresh"]) == {"decoder/initial_state", "encoder", "posterior"}
    parts = {"workdir": str(other), "parts": ["decoder", "embedding", "output_layer"]}
    assert read_config(tmp_path / "run")["init_from"] == parts
    shutil.rmtree(other)
    assert cli.main(begun) == 0
    assert "already trained" in capsys.readouterr().out
    assert load_trained_model(tmp_path / "run").step == 10
    for flags, found in (((), "absent"), ((f"--init_from={lm_workdir}",), f'"{lm_workdir}"')):
        message = refusal(*arguments, *flags)
        assert f'init_from.workdir is "{other}" there and {found} here' in message


def test_an_origin_that_does_not_fit_leaves_no_workdir(text_folder, lm_workdir, tmp_path, refusal):
    arguments = train_arguments(text_folder, tmp_path / "run", "vae", **{"model.hidden_dim": 12})
    message = refusal(*arguments, f"--init_from={lm_workdir}")
    assert "model.hidden_dim is 8 there and 12 here" in message
    assert "--init_parts needs --init_from" in refusal(*arguments, "--init_parts=decoder")
    assert not (tmp_path / "run").exists()


def test_another_text_is_read_with_the_vocabulary_of_a_run(lm_workdir, tmp_path, capsys):
    folder = write_text(tmp_path)
    (folder / "train.txt").write_text("a zebra ran far away\n" * 40)
    words = lm_workdir / "corpus" / "vocabulary.txt"
    changes = {"data.vocabulary": words, "train.num_epochs": 1}
    arguments = train_arguments(folder, tmp_path / "run", "lm", **changes)
    assert cli.main([*arguments, f"--init_from={lm_workdir}"]) == 0
    assert "words        14 of 14 found there\n" in capsys.readouterr().out
    corpus = load_trained_model(tmp_path / "run").corpus
    assert corpus.vocabulary == load_trained_model(lm_workdir).corpus.vocabulary
    assert "zebra" not in corpus.vocabulary.words
    assert (
        cli.main(
            [
                a.replace(str(words), str(tmp_path / "run/corpus/vocabulary.txt"))
                for a in [*arguments, f"--init_from={lm_workdir}"]
            ]
        )
        == 0
    )


def test_a_trace_is_of_steps_that_compile_nothing_and_is_all_that_is_said(
    text_folder, tmp_path, capfd
):
    workdir = tmp_path / "run"
    arguments = train_arguments(text_folder, workdir, "lm")
    assert cli.main([*arguments, "--profile=2", "--log_level=error"]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    (file,) = workdir.glob("profile/**/*.trace.json.gz")
    assert captured.out.splitlines() == [
        f"trace of steps 2 to 3: open {file} at https://ui.perfetto.dev, or run "
        f"`tensorboard --logdir={workdir}/profile` with its plugin xprof"
    ]
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    steps = [int(event["args"]["step_num"]) for event in events if event.get("name") == "train"]
    assert sorted(steps) == [2, 3]


@pytest.mark.slow
def test_a_nan_is_traced_to_its_operation(text_folder, tmp_path, capsys):
    # The code becomes ±inf, and the decoder's first layer adds inf to −inf.
    changes = {"posterior.initial_log_var": 200.0}
    arguments = train_arguments(text_folder, tmp_path / "run", "vae", **changes)
    assert cli.main([*arguments, "--debug_nans"]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(
        r"wae-rnf: step 1: invalid value \(nan\) encountered in dot_general, called in "
        r"wae_rnf_jax/models/decoders/lstm\.py:\d+ \(start\); last good checkpoint: none",
        said,
    )
    assert not jax.config.jax_debug_nans


def test_what_becomes_of_the_weight_is_said(text_folder, tmp_path, capsys, monkeypatch):
    """A run of 10 steps, of a λ that rises over more."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    late = {"kl_weight.start": 4, "kl_weight.length": 20, "kl_weight.maximum": 0.8}
    arguments = train_arguments(text_folder, tmp_path / "run", "wae", **late)
    warning = "the run ends at step 10 with λ, the weight of the KL, at 0.3 instead of its maximum"
    for flags in (["--dry_run"], []):
        assert cli.main([*arguments, *flags]) == 0
        captured = capsys.readouterr()
        assert "leaves 0 after step 4, ends at 0.3 of 0.8 at step 10" in captured.out
        assert f"wae-rnf: {warning} 0.8, which it would reach at step 20: " in captured.err
    assert "compiling length 1 of 1" in captured.err
    assert "compiling the validation" in captured.err
    soon = train_arguments(text_folder, tmp_path / "run", "wae", **{**late, "kl_weight.length": 5})
    assert cli.main([*soon, "--dry_run"]) == 0
    captured = capsys.readouterr()
    assert re.search(r"λ +leaves 0 after step 4, reaches its maximum 0.8 at step 8\n", captured.out)
    assert "maximum" not in captured.err


@pytest.mark.parametrize("level", ["error", "warning", "debug"])
def test_loggers_are_as_before_when_the_command_ends(level, workdir, text_folder):
    before = logging.getLogger("jax").level, jax.config.jax_logging_level
    assert cli.main([*train_arguments(text_folder, workdir), f"--log_level={level}"]) == 0
    assert absl_logging.get_verbosity() == absl_logging.WARNING
    assert (logging.getLogger("jax").level, jax.config.jax_logging_level) == before
    assert logging.getLogger("absl").handlers == []


def test_a_tracker_gets_the_configuration_and_the_lines_of_the_run(
    text_folder, tmp_path, monkeypatch, refusal
):
    from mlflow import MlflowClient

    workdir = tmp_path / "run"
    arguments = train_arguments(text_folder, workdir, "lm")
    assert "'mlflo' is not a tracker" in refusal(*arguments, "--track=mlflo")
    assert not workdir.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert cli.main([*arguments, "--track=mlflow"]) == 0
    run = MlflowClient().get_run(json.loads((workdir / "trackers.json").read_text())["mlflow"])
    assert run.data.params["train.batch_size"] == str(read_config(workdir)["train"]["batch_size"])
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    (last,) = [line for line in lines if line["split"] == "valid"][-1:]
    assert run.data.metrics["valid/ppl"] == pytest.approx(last["ppl"])


def test_another_schedule_takes_the_place_of_all_that_the_configuration_has_of_its_own(
    text_folder, tmp_path, capsys, refusal
):
    """As the warning about λ advises; the file sets start and length, which it does not take."""
    arguments = [
        argument
        for argument in train_arguments(text_folder, tmp_path / "run", "wae")
        if "kl_weight.length" not in argument
    ]
    shares = ["--config.kl_weight.schedule=linear_of_run", "--config.kl_weight.begin=0.2"]
    assert cli.main([*arguments, *shares, "--config.kl_weight.end=0.7", "--dry_run"]) == 0
    assert "leaves 0 after step 2, reaches its maximum" in capsys.readouterr().out
    message = refusal(*arguments, *shares, "--config.kl_weight.length=5", "--dry_run")
    assert "kl_weight.length: there is no such key when schedule is linear_of_run" in message
