"""A corpus larger than memory should be: time, processor time and memory to prepare and train.

python -m benchmarks.large_corpus [--gigabytes=5] [--tokenizer=whitespace] [--num_workers=0]
  [--num_steps=200] [--output=FILE.json]

Writes a text (words by Zipf's law, as many to a sentence as in Penn Treebank), prepares it with
`wae-rnf prepare` and trains a small language model on it with `wae-rnf train`, stopped after
`--num_steps` (0: it is only prepared). Beside the times stands the anonymous resident memory
(RssAnon) of the command and all processes that it starts, looked up every tenth of a second: what
cannot be dropped and read again from a file. The yardstick is the size of the text. Needs Linux,
and twice the text's size on the disk of `--folder`.
"""

import contextlib
import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import measurement, workload
from benchmarks.measurement import Row
from wae_rnf_jax.data.workers import num_cores

_ROOT = Path(__file__).resolve().parents[1]
_LOOK_SECONDS = 0.1
_BLOCK_SENTENCES = 1 << 16
_LIMIT_MIB = 2048


class Text(NamedTuple):
    """What was written."""

    num_bytes: int
    num_sentences: int
    num_words: int


def written_text(folder: Path, *, num_bytes: int, vocab_size: int) -> Text:
    """Writes ``train.txt`` of at least so many bytes, and two short splits beside it."""
    rng = np.random.default_rng(0)
    lengths, _ = workload.sentence_lengths(1 << 15)
    spellings, widths = _spellings(vocab_size)
    ranks = _zipf_table(vocab_size)
    for name in ("valid", "test"):
        block, _ = _sentences(rng, 1000, lengths, spellings, widths, ranks)
        (folder / f"{name}.txt").write_bytes(block)
    text = Text(0, 0, 0)
    with (folder / "train.txt").open("wb") as file:
        while text.num_bytes < num_bytes:
            left = 1 + (num_bytes - text.num_bytes) // 100
            count = min(_BLOCK_SENTENCES, left)
            block, num_words = _sentences(rng, count, lengths, spellings, widths, ranks)
            file.write(block)
            text = Text(*np.add(text, (len(block), count, num_words)).tolist())
    return text


def _spellings(vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters of each word and a blank, uint8 [V, 8], and how many of them; rare words are long."""
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", np.uint8)
    digits = np.stack([np.arange(vocab_size) // 26**place % 26 for place in range(6)], axis=1)
    size = np.minimum(2 + np.log2(np.arange(vocab_size) + 2) // 2.5, 6).astype(int)
    spellings = np.full((vocab_size, 8), ord(" "), np.uint8)
    place = np.arange(6) < size[:, None]
    spellings[:, :6] = np.where(place, letters[digits], ord(" "))
    return spellings, size + 1


def _zipf_table(vocab_size: int, size: int = 1 << 20) -> np.ndarray:
    """Words such that a random entry is the r-th with probability ∝ 1/r, to one part in `size`."""
    cumulative = np.cumsum(1 / np.arange(1, vocab_size + 1))
    return np.searchsorted(cumulative / cumulative[-1], (np.arange(size) + 0.5) / size)


def _sentences(rng, count, lengths, spellings, widths, ranks) -> tuple[bytes, int]:
    """Some lines of text, and how many words they have."""
    ends = np.cumsum(rng.choice(lengths, count))
    words = ranks[rng.integers(0, len(ranks), int(ends[-1]))]
    letters = spellings[words]
    letters[ends - 1, widths[words[ends - 1]] - 1] = ord("\n")
    return letters[np.arange(8) < widths[words][:, None]].tobytes(), len(words)


class Phase(NamedTuple):
    """What a command took; memory in MiB of anonymous pages."""

    seconds: float
    cpu_seconds: float
    largest: float
    total: float


class _Watch:
    """Follows the memory of a process and of those that it starts, while it runs."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self.largest = self.total = 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while self._process.poll() is None:
            found = [anonymous_mib(pid) for pid in family(self._process.pid)]
            self.largest = max(self.largest, *found)
            self.total = max(self.total, sum(found))
            time.sleep(_LOOK_SECONDS)


def family(pid: int) -> list[int]:
    """A process and all that it, or one of them, started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    found += map(int, (thread / "children").read_text().split())
    return found


def anonymous_mib(pid: int) -> float:
    """Anonymous resident memory of a process, 0 once it has ended."""
    with contextlib.suppress(OSError):
        if found := re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) / 2**10
    return 0.0


@contextlib.contextmanager
def watched(arguments: list[str]) -> Iterator[tuple[subprocess.Popen, list[Phase]]]:
    """Runs `wae-rnf`; the list holds what it took once it has ended."""
    before, begun, phases = _children_seconds(), time.perf_counter(), []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "wae_rnf_jax", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=_ROOT,
        )
        watch = _Watch(process)
        try:
            yield process, phases
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            errors.seek(0)
            raise RuntimeError(f"wae-rnf {arguments[0]}: {errors.read().decode()[-2000:]}")
        seconds = time.perf_counter() - begun
        phases.append(Phase(seconds, _children_seconds() - before, watch.largest, watch.total))


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def trained(arguments: list[str], workdir: Path, *, num_steps: int) -> tuple[Phase, float]:
    """Trains for so many steps; returns what it took, and the steps a second after the first."""
    seen: list[tuple[float, int]] = []
    with watched(arguments) as (process, phases):
        while process.poll() is None and (not seen or seen[-1][1] < num_steps):
            time.sleep(_LOOK_SECONDS)
            with contextlib.suppress(OSError, IndexError, ValueError):
                line = (workdir / "metrics.jsonl").read_text().splitlines()[-1]
                step = json.loads(line)["step"]
                if not seen or step > seen[-1][1]:
                    seen.append((time.perf_counter(), step))
        process.send_signal(signal.SIGTERM)  # training saves its state and ends well
    (begun, first), (ended, last) = seen[0], seen[-1]
    return phases[0], (last - first) / max(ended - begun, 1e-9)


def _settings(arguments, text: Path, folder: Path) -> list[str]:
    settings = {
        "data.source": "text",
        "data.path": text,
        "data.tokenizer": arguments.tokenizer,
        "data.cache_dir": folder / "cache",
        "data.num_workers": arguments.num_workers,
        "model.embedding_dim": arguments.width,
        "model.hidden_dim": arguments.width,
        "train.batch_size": arguments.batch_size,
        "train.log_every": max(1, arguments.num_steps // 10),
    }
    overrides = [f"--config.{key}={value}" for key, value in settings.items()]
    return [f"--config={_ROOT}/configs/grammar/lm.py", *overrides]


def _row(phase: str, text: Text, taken: Phase, **more: float) -> Row:
    return {
        "phase": phase,
        "s": taken.seconds,
        "cpu s": taken.cpu_seconds,
        **more,
        "largest process, MiB": taken.largest,
        "all processes, MiB": taken.total,
        "all, % of the text": 100 * taken.total * 2**20 / text.num_bytes,
    }


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--gigabytes", type=float, default=5.0, help="of text, 10⁹ bytes each")
    flags.add_argument("--vocab_size", type=int, default=10_000, help="different words")
    flags.add_argument("--tokenizer", default="whitespace", help="data.tokenizer")
    flags.add_argument("--num_workers", type=int, default=0, help="processes; 0 is one a core")
    flags.add_argument("--num_steps", type=int, default=200, help="of training; 0 for none")
    flags.add_argument("--batch_size", type=int, default=32, help="sentences a step")
    flags.add_argument("--width", type=int, default=64, help="of embedding and state")
    flags.add_argument("--folder", type=Path, help="where to work; what is made is removed")
    arguments = flags.parse_args(argv)
    if arguments.smoke:
        arguments.gigabytes, arguments.vocab_size = 2e-4, 50
        arguments.num_steps = min(arguments.num_steps, 4)
        arguments.batch_size = arguments.width = 8
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "text").mkdir()
        begun, cpu = time.perf_counter(), time.process_time()
        num_bytes = int(arguments.gigabytes * 1e9)
        text = written_text(folder / "text", num_bytes=num_bytes, vocab_size=arguments.vocab_size)
        taken = time.perf_counter() - begun, time.process_time() - cpu
        rows: list[Row] = [{"phase": "write the text", "s": taken[0], "cpu s": taken[1]}]
        settings = _settings(arguments, folder / "text", folder)
        with watched(["prepare", *settings]) as (_, phases):
            pass
        millions = {
            "million words a cpu s": text.num_words / 1e6,
            "MB a cpu s": text.num_bytes / 1e6,
        }
        rates = {name: of_all / phases[0].cpu_seconds for name, of_all in millions.items()}
        rows.append(_row("prepare", text, phases[0], **rates))
        if arguments.num_steps:
            train = ["train", f"--workdir={folder / 'run'}", *settings]
            phase, rate = trained(train, folder / "run", num_steps=arguments.num_steps)
            rows.append(_row("train", text, phase, **{"batches/s": rate}))
    notes = [
        f"{text.num_bytes:,} bytes, {text.num_sentences:,} sentences, {text.num_words:,} words; "
        f"tokenizer {arguments.tokenizer}; {arguments.num_workers or num_cores()} workers"
    ]
    most = max(row.get("all processes, MiB", 0.0) for row in rows)
    notes.append(f"RssAnon of all processes together: {most:.0f} MiB, to stay below {_LIMIT_MIB}")
    measurement.report("Large corpus", rows, notes=notes, output=arguments.output)
    return 0 if most < _LIMIT_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
