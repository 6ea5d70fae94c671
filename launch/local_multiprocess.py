r"""One run in several processes on this machine, each with CPU devices of its own.

    python launch/local_multiprocess.py --num_processes=2 --devices_per_process=2 -- \
        train --config=configs/grammar/wae_rnf.py --workdir=runs/two_processes

What follows `--` are a command of wae-rnf and its flags. Process 0 writes to this terminal; lines
of the others come with their number. Ctrl-C and SIGTERM go to all, which save and stop. Where one
process ends with an error, the others, which cannot go on without it, have `--grace` seconds to end
and are then killed.

Exit code: 0 if all processes ended well, else that of the first to fail; 128 + N for signal N.
"""

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
BAD_INPUT = 2
INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
RESUME = "the same command resumes from the last checkpoint, if there is one"


def main() -> int:
    """Starts the processes and waits for them; returns the exit code."""
    options = parsed_arguments()
    address = f"127.0.0.1:{options.port or free_port()}"
    commands = [command(options, address, i) for i in range(options.num_processes)]
    settings = environment(options.devices_per_process)
    if options.dry_run:
        for words in commands:
            print(*(f"{k}={shlex.quote(v)}" for k, v in settings.items()), shlex.join(words))
        return 0
    processes: list[subprocess.Popen] = []
    forward_signals(processes)
    copying: list[threading.Thread] = []
    for i, words in enumerate(commands):
        processes.append(start(words, settings, own_terminal=i == 0))
        copying += copy_output(processes[i], i) if i else []
    failed, killed = wait(processes, options.grace)
    for thread in copying:
        thread.join(timeout=10)  # on a busy machine the last lines take their time
    return report([process.returncode for process in processes], failed, killed)


def parsed_arguments() -> argparse.Namespace:
    """The command line; ends the program with code 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--num_processes", type=positive, required=True, metavar="N")
    add("--devices_per_process", type=positive, default=1, metavar="M", help="CPU devices of each")
    add("--port", type=positive, help="that process 0 listens on; a free one unless given")
    add("--grace", type=float, default=15.0, metavar="SECONDS", help="for the others to end")
    add("--dry_run", action="store_true", help="print what would be started")
    add("command", nargs=argparse.REMAINDER, help="-- train --config=… --workdir=…")
    options = parser.parse_args()
    options.command = options.command[options.command[:1] == ["--"] :]
    if not options.command:
        parser.error("the command is missing: -- train --config=… --workdir=…")
    return options


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(options: argparse.Namespace, address: str, process: int) -> list[str]:
    """What one process runs."""
    return [
        *(sys.executable, "-m", "wae_rnf_jax", *options.command),
        f"--coordinator_address={address}",
        f"--num_processes={options.num_processes}",
        f"--process_id={process}",
    ]


def environment(devices: int) -> dict[str, str]:
    """What the processes' environment has beside this one's.

    CPU devices need as many threads to meet in a reduction, which XLA counts as NPROC.
    """
    path = os.environ.get("PYTHONPATH")
    return {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "NPROC": str(max(os.cpu_count() or 1, 16 * devices)),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *([path] if path else [])]),
    }


def start(words: list[str], settings: dict[str, str], *, own_terminal: bool) -> subprocess.Popen:
    """Starts a process in a group of its own, which a Ctrl-C reaches through this program alone."""
    output = None if own_terminal else subprocess.PIPE
    return subprocess.Popen(
        words,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def copy_output(process: subprocess.Popen, number: int) -> list[threading.Thread]:
    """Copies a process's lines to this program's output; returns the threads that do."""
    pairs = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    threads = [threading.Thread(target=copy, args=(*pair, number), daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    return threads


def copy(source: IO[bytes], sink: IO[str], process: int) -> None:
    """Copies lines, each with the process's number before it."""
    for line in source:
        print(f"[{process}] {line.decode(errors='replace')}", end="", file=sink, flush=True)


def forward_signals(processes: list[subprocess.Popen]) -> None:
    """Sends what this program is told on to all processes."""

    def forward(signum, frame):
        for process in processes:
            if process.poll() is None:
                process.send_signal(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, forward)


def wait(processes: list[subprocess.Popen], grace: float) -> tuple[int | None, list[int]]:
    """Waits until all have ended, and ends those that do not once one has failed.

    Returns:
      The number of the first that failed, or None, and the numbers of those that were killed.
    """
    failed, deadline, killed = None, float("inf"), []
    while True:
        running = [i for i, process in enumerate(processes) if process.poll() is None]
        failures = [
            (process.returncode, i) for i, process in enumerate(processes) if process.returncode
        ]
        if failed is None and failures:
            # One that a signal ended, rather than those that its end ended.
            failed, deadline = min(failures)[1], time.monotonic() + grace
        if not running:
            return failed, killed
        if time.monotonic() > deadline and not killed:
            killed = running
            for i in running:
                processes[i].kill()
        time.sleep(0.02)


def report(codes: list[int], failed: int | None, killed: list[int]) -> int:
    """Says which process failed and what became of the others; returns the exit code."""
    if failed is None:
        return 0
    code = codes[failed]
    if code in INTERRUPTED:  # which it has said itself
        return code
    how = f"exited with code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
    others = f"; killed, as they did not end: {', '.join(map(str, killed))}" if killed else ""
    after = "see its message above" if code == BAD_INPUT else RESUME
    print(
        f"local_multiprocess: process {failed} of {len(codes)} {how}{others}; {after}",
        file=sys.stderr,
    )
    return code if code > 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
