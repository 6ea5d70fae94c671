"""Jobs of several processes, for the tests of them: a tiny run, started, watched and compared."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
HEARTBEAT, JOIN = 10, 60  # seconds
SMALL = {
    "data.num_sentences": (64, 12, 9),
    "data.num_buckets": 1,
    "model.embedding_dim": 6,
    "model.hidden_dim": 6,
    "model.latent_dim": 3,
    "model.dropout": 0.2,
    "train.batch_size": 8,
    "train.num_epochs": 6,
    "train.eval_every": 6,
    "train.checkpoint_every": 4,
    "train.log_every": 1,  # a line is a step's, wherever a run was resumed
    "train.select": "last",
}
LAST = 48


class Ended(NamedTuple):
    """What a process left."""

    code: int
    output: str


def arguments(workdir, cache, **settings):
    """The command of the tiny run; `settings` are keys of its configuration, __ for a dot."""
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    values = {**SMALL, "data.cache_dir": cache, **changed}
    config = f"--config={ROOT}/configs/grammar/vae.py"
    return [
        "train",
        config,
        f"--workdir={workdir}",
        *(f"--config.{k}={v}" for k, v in values.items()),
    ]


def environment(devices, **changed):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": path, **changed}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Job:
    """Two processes of one job, each with a log of its own."""

    def __init__(self, folder, of_process, devices=(2, 2), changed=({}, {})):
        port = free_port()
        self.logs = [folder / f"{port}.{i}.log" for i in range(2)]
        self.processes = []
        for i in range(2):
            words = [
                *(sys.executable, "-m", "wae_rnf_jax", *of_process[i]),
                *(f"--coordinator_address=127.0.0.1:{port}", "--num_processes=2"),
                *(
                    f"--process_id={i}",
                    f"--heartbeat_timeout={HEARTBEAT}",
                    f"--join_timeout={JOIN}",
                ),
            ]
            with self.logs[i].open("w") as log:
                settings = environment(devices[i], **changed[i])
                self.processes.append(subprocess.Popen(words, env=settings, stdout=log, stderr=log))

    def wait(self, timeout=600):
        """Waits for both; kills what is left of them if the test fails meanwhile."""
        try:
            codes = [process.wait(timeout) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return [Ended(code, _output(log)) for code, log in zip(codes, self.logs, strict=True)]

    def wait_for_step(self, workdir, step):
        """Waits until a step's checkpoint is on disk."""
        deadline = time.monotonic() + 600
        while steps_on_disk(workdir) < step:
            ended = [process.poll() for process in self.processes]
            if ended != [None, None] or time.monotonic() > deadline:
                self.wait(1)
                raise AssertionError([log.read_text()[-2000:] for log in self.logs])
            time.sleep(0.02)


def _output(log):
    """What a process printed, but for the lines of XLA's library of collectives."""
    return re.sub(r"^\[Gloo\].*\n", "", log.read_text(), flags=re.MULTILINE)


def alone(words, devices, interrupt_after=None):
    """Runs a command in one process; interrupts it once its workdir has a step's checkpoint."""
    command = [sys.executable, "-m", "wae_rnf_jax", *words]
    process = subprocess.Popen(
        command,
        env=environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if interrupt_after is not None:
        workdir, step = interrupt_after
        while steps_on_disk(workdir) < step and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=600)
    return Ended(process.returncode, output)


def steps_on_disk(workdir):
    names = [path.name for path in (Path(workdir) / "checkpoints" / "latest").glob("*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def metrics(workdir):
    """The lines of a run's metrics by split and step, without the speed."""
    lines = (Path(workdir) / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    found = {(row.pop("split"), row.pop("step")): row for row in rows}
    assert len(found) == len(rows)
    for row in rows:
        row.pop("tokens_per_second", None)
    return found


def said(ended):
    """The sentences of the program in an output."""
    return re.findall(r"^(?:.*\r)?wae-rnf: (.*)$", ended.output, re.MULTILINE)
