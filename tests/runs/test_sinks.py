"""Files of metrics that are slow, full, deleted or gone: said once, and nothing waits or stops."""

import json
import os
import resource
import shutil
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tensorboardX.record_writer import RecordWriter

from tests.runs.test_metrics import lines, row
from wae_rnf_jax.runs import sinks
from wae_rnf_jax.runs.metrics import MetricsLog
from wae_rnf_jax.runs.sinks import CAPACITY, JsonLines, Line, Sink, TensorBoard


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine is not taken for a hung disk."""
    monkeypatch.setattr(sinks, "PATIENCE", 120.0)


@contextmanager
def files_of_at_most(size):
    """Makes the system refuse to let any file grow beyond so many bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def said(capsys):
    return [text for text in capsys.readouterr().err.splitlines() if "training continues" in text]


def steps(path):
    return [line["step"] for line in lines(path)]


# A file that is left to its destructor complains there; Python 3.13 says so.
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_leaves_whole_lines_and_loses_none(tmp_path, capsys):
    log = MetricsLog(tmp_path, first_step=0, num_steps=9, interval=1)
    log.add(1, row(1.0))
    log.wait()
    size = (tmp_path / "metrics.jsonl").stat().st_size
    with files_of_at_most(size + size // 2):
        for step in (2, 3, 4):
            log.add(step, row(1.0))
        log.wait()
        assert steps(tmp_path) == [1]
    log.add(5, row(1.0))
    log.close()
    assert steps(tmp_path) == [1, 2, 3, 4, 5]
    first, second = said(capsys)
    assert "metrics.jsonl cannot be written (File too large)" in first + second
    assert "tensorboard cannot be written (File too large)" in first + second


def test_a_deleted_folder_is_said_once_and_begun_anew(tmp_path, capsys):
    workdir = tmp_path / "run"
    workdir.mkdir()
    log = MetricsLog(workdir, first_step=0, num_steps=9, interval=1)
    log.add(1, row(1.0))
    log.wait()
    shutil.rmtree(workdir)
    for step in (2, 3):
        log.add(step, row(1.0))
        log.wait()
    assert len(said(capsys)) == 2
    workdir.mkdir(exist_ok=True)
    log.add(4, row(1.0))
    log.close()
    assert steps(workdir) == [2, 3, 4]
    assert len(list((workdir / "tensorboard").iterdir())) == 1
    assert not said(capsys)


def test_a_writer_that_hangs_holds_up_nothing(tmp_path, monkeypatch, capsys):
    hang, hanging = threading.Event(), threading.Event()

    def write(self, data):
        hanging.set()
        hang.wait(60)

    monkeypatch.setattr(RecordWriter, "write", write)
    monkeypatch.setattr(sinks, "PATIENCE", 0.05)
    sink = Sink("board", TensorBoard(tmp_path, first_step=0))
    began = time.monotonic()
    sink.put(Line("train", 1, {"loss": 1.0}))
    assert hanging.wait(30)
    for step in range(2, 3 * CAPACITY):
        sink.put(Line("train", step, {"loss": 1.0}))
        sink.wait()
    sink.close()
    assert time.monotonic() - began < 20
    hang.set()
    while not sink.put(None):
        time.sleep(0.01)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "board"]
    thread.join(60)
    (text,) = said(capsys)
    assert "board cannot be written (it " in text


def test_a_writer_that_dies_is_replaced(tmp_path, monkeypatch, capsys):
    write = RecordWriter.write
    failures = iter([False, False, False, True])  # the third is the first line

    def fails_once(self, data):
        if next(failures, False):
            raise RuntimeError("dead")
        return write(self, data)

    monkeypatch.setattr(RecordWriter, "write", fails_once)
    sink = Sink("board", TensorBoard(tmp_path, first_step=0))
    for step in (1, 2, 3):
        sink.put(Line("train", step, {"loss": float(step), "kl": float("inf")}))
    sink.close()
    (text,) = said(capsys)
    assert "board cannot be written (dead); training continues" in text
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert all(b"train/loss" in file.read_bytes() for file in files)
    assert not any(b"train/kl" in file.read_bytes() for file in files)


def test_a_folder_of_this_machine_is_not_taken_for_a_bucket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TensorBoard(Path("s3:a/b"), first_step=0)(Line("train", 1, {"loss": 1.0}))
    (events,) = (tmp_path / "s3:a" / "b").iterdir()
    assert events.stat().st_size > 0


def test_lines_reach_the_file_in_order_and_a_wait_means_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    sink = Sink("lines", JsonLines(path))
    for step in range(5):
        sink.put(Line("valid", step, {"ppl": step / 2}))
    sink.wait()
    written = [json.loads(text) for text in path.read_text().splitlines()]
    assert written == [{"step": k, "split": "valid", "ppl": k / 2} for k in range(5)]
    sink.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "lines"]


def test_a_lost_terminal_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "tensorboard").touch()  # so that there is something to say as well
    reader, writer = os.pipe()
    os.close(reader)
    lost = os.fdopen(writer, "w", buffering=1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", lost)
        patch.setattr(sys, "stdout", lost)
        with pytest.raises(BrokenPipeError):
            print("lost")
        log = MetricsLog(tmp_path, first_step=0, num_steps=3, interval=1)
        for step in (1, 2, 3):
            log.add(step, row(1.0))
            log.say("validated")
        log.close()
    assert steps(tmp_path) == [1, 2, 3]
    with suppress(BrokenPipeError):
        lost.close()
