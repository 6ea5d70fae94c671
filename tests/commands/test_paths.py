"""Folders of any name that the file system allows: what is trained there is used from there."""

import json

import pytest
from command_runs import train_arguments, write_text

from wae_rnf_jax import cli

# Orbax globs with the whole path of a checkpoint, and reads more into it than that.
NAMES = ["job[3]", "a**b [!*?]{#%20|~} $é\\:;,'\""]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_trained_resumed_and_used_in_a_folder_of_any_name(name, tmp_path, capsys):
    (tmp_path / "text[3]*").mkdir()
    text, workdir = write_text(tmp_path / "text[3]*"), tmp_path / name / "run"
    arguments = train_arguments(text, workdir, "lm", **{"train.num_epochs": 1})
    assert cli.main([*arguments, "--profile=1"]) == 0
    assert "trace of steps" in capsys.readouterr().out
    assert cli.main(arguments) == 0
    assert "already trained" in capsys.readouterr().out
    assert cli.main(["evaluate", f"--workdir={workdir}", "--num_generated=2"]) == 0
    assert cli.main(["info", f"--workdir={workdir}"]) == 0
    said = capsys.readouterr().err
    assert all("max_length" in line for line in said.splitlines() if "wae-rnf:" in line)
    assert json.loads((workdir / "results.json").read_text())["metrics"]["nll_iw"] > 0
