"""The batch job: what it runs, and when it queues itself again."""

import re
import shlex

import pytest
from command_runs import ROOT

RUN = ("--config=configs/grammar/lm.py", "--workdir=runs/a run")
TRAIN = ["train", "--distributed", "--stop_code=75", *RUN]


def test_a_dry_run_prints_the_commands(launch):
    ended = launch("slurm.sbatch", *RUN, DRY_RUN="1")
    assert (ended.code, ended.err) == (0, "")
    first, comment, last = ended.out.splitlines()
    command = ["srun", "--kill-on-bad-exit=0", "--wait=600", f"{ROOT}/.venv/bin/wae-rnf", *TRAIN]
    assert shlex.split(first) == command
    assert comment.startswith("# after exit code 75 or 143")
    assert last == "scontrol requeue JOB"


@pytest.mark.parametrize(
    "code, state, requeued",
    [
        (0, "RUNNING", False),  # finished
        (1, "RUNNING", False),  # failed
        (75, "RUNNING", True),  # stopped before the time limit
        (143, "RUNNING", True),  # and before the first step
        (75, "COMPLETING", False),  # cancelled
    ],
)
def test_a_job_that_was_stopped_queues_itself_again(launch, tmp_path, code, state, requeued):
    launch.program("wae-rnf", "")
    launch.program("srun", f'printf "%s\\n" "$@" > srun.log; exit {code}')
    launch.program("squeue", f"echo {state}")
    launch.program("scontrol", 'echo "$@" > scontrol.log')
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    variables = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "17", "WAE_RNF": "wae-rnf"}
    ended = launch("slurm.sbatch", *RUN, **variables)
    assert (ended.code, ended.err) == (code, "")
    assert (tmp_path / "srun.log").read_text().splitlines()[2:] == ["wae-rnf", *TRAIN]
    log = tmp_path / "scontrol.log"
    assert (log.read_text() if log.exists() else "") == ("requeue 17\n" if requeued else "")


def test_the_options_of_sbatch_let_it_save_and_go_on():
    text = (ROOT / "launch" / "slurm.sbatch").read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert text.count("\n#SBATCH ") == len(options)
    assert options["requeue"] == ""
    assert options["signal"] == "TERM@120"  # to the tasks; B: would be to the script alone
    assert options["open-mode"] == "append"  # a second start does not erase the log of the first


MISUSES = {
    "no workdir": (RUN[:1], {"DRY_RUN": "1"}, "--workdir=… is missing"),
    "an empty one": ((RUN[0], "--workdir="), {"DRY_RUN": "1"}, "--workdir=… is missing"),
    "not in a job": (RUN, {}, "this is no job: submit it with sbatch"),
    "no command": (RUN, {"SLURM_JOB_ID": "1", "WAE_RNF": "gone"}, "gone is no command"),
    "no srun": (RUN, {"SLURM_JOB_ID": "1", "WAE_RNF": "sh"}, "srun is not on the PATH"),
    "not a checkout": (RUN, {"SLURM_SUBMIT_DIR": "/"}, "/ is no checkout of wae_rnf_jax"),
    "neither 0 nor 1": (RUN, {"DRY_RUN": "yes"}, "DRY_RUN is 'yes': it must be 0 or 1"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_sentence(launch, name):
    arguments, variables, said = MISUSES[name]
    assert said in launch.refusal("slurm.sbatch", *arguments, **variables)
