"""The metrics log: averages over sentences, resumed files, and losses that are no numbers."""

import json

import numpy as np
import pytest

from wae_rnf_jax.runs.metrics import Compilations, MetricsLog, NonFiniteLoss, keep_lines_to


def row(loss, sentences=4.0):
    return {
        "loss": np.float32(loss),
        "rec": np.float32(loss),
        "num_sentences": np.float32(sentences),
        "num_tokens": np.float32(10),
    }


def lines(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_an_interval_is_averaged_over_sentences(tmp_path):
    log = MetricsLog(tmp_path, first_step=0, num_steps=4, interval=2)
    for step, values in enumerate([(1.0, 1.0), (4.0, 3.0), (5.0, 2.0)], start=1):
        log.add(step, row(*values))
    log.flush()
    log.close()
    first, second = lines(tmp_path)
    assert (first["step"], first["split"]) == (2, "train")
    assert first["loss"] == pytest.approx((1 * 1 + 4 * 3) / 4)
    assert second["loss"] == pytest.approx(5.0)
    assert first["tokens_per_second"] > 0


def test_first_loss_that_is_no_number_is_named(tmp_path):
    log = MetricsLog(tmp_path, first_step=0, num_steps=9, interval=9)
    for step, loss in enumerate([1.0, np.inf, np.nan], start=1):
        log.add(step, row(loss))
    with pytest.raises(NonFiniteLoss, match=r"step 2 is not finite \(loss inf, rec inf"):
        log.flush()
    log.close()


def test_a_gradient_that_is_no_number_is_named_before_the_loss_is_none(tmp_path):
    log = MetricsLog(tmp_path, first_step=0, num_steps=9, interval=9)
    log.add(1, {**row(1.0), "grad_norm": np.float32(2.0)})
    log.add(2, {**row(1.0), "grad_norm": np.float32(np.inf)})
    with pytest.raises(NonFiniteLoss, match=r"gradient of step 2 is not finite \(grad_norm inf, "):
        log.flush()
    log.close()


def test_a_resumed_run_writes_its_later_lines_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    keep_lines_to(path, 3)
    assert not path.exists()
    path.write_text('{"step": 2, "a": 1}\n{"step": 4, "a": 2}\n{"step": 6, "a"')
    keep_lines_to(path, 3)
    assert path.read_text() == '{"step": 2, "a": 1}\n'
    path.write_text('{"step": 2, "a": 1}\n{"step": 3, "a\n7\n{"step": 5, "a": 1}\n{"step": 6, "a"')
    keep_lines_to(path, 9)
    assert path.read_text() == '{"step": 2, "a": 1}\n{"step": 5, "a": 1}\n'
    assert list(tmp_path.iterdir()) == [path]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1e6
        for name in ("time.monotonic", "tqdm.std.time"):
            monkeypatch.setattr(name, lambda: self.now)


def test_what_is_set_aside_is_named_and_is_no_time_of_steps(tmp_path, monkeypatch, capsys):
    clock = Clock(monkeypatch)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    log = MetricsLog(tmp_path, first_step=0, num_steps=100, interval=4)
    for step in range(1, 5):
        with log.set_aside("compiling length 1 of 3" if step == 1 else ""):
            clock.now += 1000.0 if step == 1 else 0.5
        clock.now += 0.5
        log.add(step, row(1.0))
    log.close()
    (line,) = lines(tmp_path)
    assert line["tokens_per_second"] == pytest.approx(40 / 3.5)
    shown = capsys.readouterr().err
    named = next(line for line in shown.split("\r") if "compiling length 1 of 3:   0%" in line)
    assert named.rstrip().endswith("0/100")  # what is left would be no step's time
    # 96 steps more, at .875 seconds a step.
    assert "4/100 [00:03<01:24" in shown


def test_lengths_are_counted_as_they_come():
    compilations = Compilations(np.array([3, 3, 5, 5, 9, 9]), num_buckets=3)
    found = [compilations.next(length) for length in (5, 5, 3, 9, 5)]
    names = ["compiling length 1 of 3", "compiling length 2 of 3", "compiling length 3 of 3"]
    assert found == [names[0], "", *names[1:], ""]


def test_without_a_terminal_compiling_before_the_first_step_is_told_at_once(tmp_path, capsys):
    log = MetricsLog(tmp_path, first_step=0, num_steps=9, interval=1)
    with log.set_aside("compiling length 1 of 3"):
        shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert shown[1].startswith("compiling length 1 of 3:   0%")
    log.add(1, row(1.0))
    with log.set_aside("compiling length 2 of 3"):
        assert not capsys.readouterr().err
    log.close()


def test_without_a_terminal_progress_is_a_line_now_and_then(tmp_path, capsys, monkeypatch):
    """An hour of steps, and of lines of metrics, is some lines and not megabytes."""
    seconds = 0.0
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    log = MetricsLog(tmp_path, first_step=0, num_steps=3600, interval=1)
    for step in range(1, 3601):
        seconds += 1.0
        log.add(step, row(1.0))
    log.close()
    said = capsys.readouterr().err
    assert "\r" not in said
    assert 55 < len(said.splitlines()) < 65
    assert len(said) < 20_000
    assert said.splitlines()[-1].startswith("100%")
    assert "loss=1" in said.splitlines()[-1]


def test_lines_that_cannot_be_dropped_are_said(tmp_path, capsys):
    (tmp_path / "metrics.jsonl").mkdir()  # reading it is an error of the system
    log = MetricsLog(tmp_path, first_step=3, num_steps=4, interval=1)
    log.add(4, row(1.0))
    log.close()
    said = [line for line in capsys.readouterr().err.splitlines() if "metrics.jsonl" in line]
    assert len(said) == 2
    assert "still contains lines of steps after 3 (Is a directory)" in said[0]
    assert "cannot be written (Is a directory); training continues" in said[1]
