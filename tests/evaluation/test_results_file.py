import json
import math
import os

import pytest

from tests.evaluation.test_report import METRICS
from wae_rnf_jax.evaluation import report
from wae_rnf_jax.evaluation.results_file import read_results, write_results


def test_results_are_read_back_as_written(tmp_path):
    path = tmp_path / "results.json"
    metrics = {**METRICS, "nll_iw_se": math.nan, "ppl_iw": math.inf}
    write_results(path, split="test", settings={"num_samples": 100}, metrics=metrics)
    content = read_results(path)
    assert content["split"] == "test"
    assert content["settings"] == {"num_samples": 100}
    assert content["metrics"]["nll_iw"] == 105.944
    assert content["metrics"]["au"] == 3
    assert math.isnan(content["metrics"]["nll_iw_se"])
    assert content["note"] == report.NLL_PAPER_NOTE
    assert json.loads(path.read_text())["metrics"]["ppl_iw"] is None
    assert os.listdir(tmp_path) == ["results.json"]
    path.write_text(path.read_text().replace('"metrics"', '"figures"'))  # as version 0.1 wrote it
    again = read_results(path)
    assert json.dumps(again, sort_keys=True) == json.dumps(content, sort_keys=True)


def test_a_failed_write_leaves_the_old_results(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_results(path, split="valid", settings={}, metrics=METRICS)
    before = path.read_bytes()

    def broken(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        write_results(path, split="test", settings={}, metrics=METRICS)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["results.json"]


def test_results_replace_earlier_ones(tmp_path):
    path = tmp_path / "results.json"
    for split in ("valid", "test"):
        write_results(path, split=split, settings={}, metrics=METRICS)
    assert read_results(path)["split"] == "test"
