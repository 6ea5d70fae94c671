"""Slices of TPU VMs: the commands printed, and those that workers are given, run here."""

import shlex
import subprocess
import time

import pytest

SLICE = {"PROJECT": "p", "ZONE": "z", "TPU_NAME": "t"}
KIND = {"ACCELERATOR_TYPE": "v6e-16", "RUNTIME_VERSION": "v2-alpha-tpuv6e"}
RUN = ("--config=a.py", "--workdir=gs://b/it's")
TPU = "gcloud compute tpus tpu-vm"
QUEUE = "gcloud compute tpus queued-resources"
WHERE = "--project=p --zone=z"
PRINTED = {
    "create": [f"{TPU} create t --version=v2-alpha-tpuv6e --accelerator-type=v6e-16 {WHERE}"],
    "create -- --network=n": [
        f"{TPU} create t --version=v2-alpha-tpuv6e --accelerator-type=v6e-16 --network=n {WHERE}"
    ],
    "queue": [
        f"{QUEUE} create t --node-id=t --runtime-version=v2-alpha-tpuv6e --async "
        f"--accelerator-type=v6e-16 {WHERE}"
    ],
    "status": [
        f"{QUEUE} describe t '--format=value(state.state)' {WHERE}",
        f"{TPU} describe t '--format=value(state)' {WHERE}",
    ],
    "logs": [
        f"{TPU} ssh t --worker=0 '--command=tail -n 100 -F wae_rnf_jax/run.log' {WHERE}",
    ],
    "fetch runs/a out": [f"{TPU} scp --recurse t:wae_rnf_jax/runs/a out --worker=0 {WHERE}"],
    "fetch /data/a out": [f"{TPU} scp --recurse t:/data/a out --worker=0 {WHERE}"],
    "fetch gs://b/a/ out": ["gcloud storage rsync --recursive gs://b/a out/a"],
    "delete": [
        f"{QUEUE} delete t --force --quiet {WHERE}",
        "# or, where it was made by create:",
        f"{TPU} delete t --quiet {WHERE}",
    ],
}


@pytest.mark.parametrize("line", PRINTED)
def test_a_dry_run_prints_the_commands(launch, tmp_path, line):
    before = set(tmp_path.iterdir())
    ended = launch("tpu_vm.sh", *line.split(), DRY_RUN="1", **SLICE, **KIND)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == PRINTED[line]
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("subcommand", ["create", "queue"])
def test_a_spot_slice_is_asked_for(launch, subcommand):
    ended = launch("tpu_vm.sh", subcommand, SPOT="1", DRY_RUN="1", **SLICE, **KIND)
    assert "--spot" in ended.out.split()


def test_every_worker_gets_the_checkout_and_sets_it_up(launch):
    ended = launch("tpu_vm.sh", "install", DRY_RUN="1", **SLICE)
    assert (ended.code, ended.err) == (0, "")
    archive, copy, _ = ended.out.split("\n", 2)
    assert archive.startswith("git ls-files ")
    assert copy == f"{TPU} scp ./wae_rnf_jax.tar.gz t: --worker=all {WHERE}"
    ssh = shlex.split(ended.out.split("\n", 2)[2])
    assert ssh[4:7] == ["ssh", "t", "--worker=all"]
    command = ssh[7].removeprefix("--command=")
    subprocess.run(["bash", "-n", "-c", command], check=True)
    assert "bash launch/setup.sh" in command
    assert "--editable '.[tpu,gcs]'" in command


# Runs commands in a folder, as a slice of one worker would in its home.
GCLOUD = """for argument; do
  case "$argument" in --command=*) cd home && exec bash -c "${argument#--command=}" ;; esac
done"""


@pytest.fixture
def worker(launch, tmp_path):
    """The home folder of a worker."""
    launch.program("gcloud", GCLOUD.replace("home", str(tmp_path / "home")))
    folder = tmp_path / "home" / "wae_rnf_jax" / ".venv" / "bin"
    folder.mkdir(parents=True)
    program = folder / "wae-rnf"
    program.write_text(
        "#!/bin/bash\nprintf '%s\\n' \"$@\"\ntrap 'echo saved; exit 0' TERM\necho up\n"
        "while :; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    return tmp_path / "home"


def test_a_run_outlives_its_connection_and_is_stopped_by_a_signal(launch, worker):
    assert launch("tpu_vm.sh", "run", *RUN, **SLICE).code == 0
    log = worker / "wae_rnf_jax" / "run.log"
    deadline = time.monotonic() + 30
    try:
        while not (log.exists() and "up" in log.read_text().split()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        again = launch("tpu_vm.sh", "run", *RUN, **SLICE)
        assert again.code == 2
        assert "a run is going on here" in again.err
    finally:
        assert launch("tpu_vm.sh", "stop", **SLICE).code == 0
    assert log.read_text().splitlines() == ["train", "--distributed", *RUN, "up", "saved"]


def test_the_checkout_is_copied_without_what_git_ignores(launch, tmp_path):
    copy = tmp_path / "copy.tar.gz"
    launch.program("gcloud", f'[ "$4" != scp ] || cp "$5" {copy}')  # the set-up needs a network
    assert launch("tpu_vm.sh", "install", **SLICE).code == 0
    names = subprocess.check_output(["tar", "-tzf", copy], text=True).splitlines()
    assert {"launch/setup.sh", "requirements.txt", "wae_rnf_jax/cli.py"} <= set(names)
    assert not any(name.startswith((".venv/", ".git/")) or "__pycache__" in name for name in names)


def test_a_slice_without_a_request_is_seen_and_deleted(launch, tmp_path):
    launch.program(
        "gcloud",
        f"""echo "$@" >>{tmp_path}/gcloud.log
[ "$3" = tpu-vm ] || exit 1
[ "$4" != describe ] || echo READY""",
    )
    assert launch("tpu_vm.sh", "status", **SLICE).out == "slice: READY\n"
    assert launch("tpu_vm.sh", "delete", **SLICE).code == 0
    last = (tmp_path / "gcloud.log").read_text().splitlines()[-1]
    assert last == f"compute tpus tpu-vm delete t --quiet {WHERE}"


MISUSES = {
    "no subcommand": ((), SLICE, "no subcommand: give one of create, queue"),
    "an unknown one": (("crate",), SLICE, "unknown subcommand 'crate': give one of create, queue"),
    "no project": (("create",), {"ZONE": "z"}, "the variable PROJECT is not set"),
    "no accelerator": (("create",), {**SLICE, "DRY_RUN": "1"}, "ACCELERATOR_TYPE is not set"),
    "no gcloud": (("status",), SLICE, "gcloud is not on the PATH; install it first"),
    "an argument too many": (("logs", "x"), SLICE, "logs takes no arguments; got 'x'"),
    "a stray flag": (("queue", "x"), {**SLICE, **KIND, "DRY_RUN": "1"}, "stand after --"),
    "no config": (("run", RUN[1]), {**SLICE, "DRY_RUN": "1"}, "--config=… is missing"),
    "no folder": (("fetch", "a"), {**SLICE, "DRY_RUN": "1"}, "fetch takes a workdir and a folder"),
    "no flag of 2": (("create",), {**SLICE, **KIND, "SPOT": "2", "DRY_RUN": "1"}, "SPOT is '2'"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_sentence(launch, name):
    arguments, variables, said = MISUSES[name]
    assert said in launch.refusal("tpu_vm.sh", *arguments, **variables)
