"""Runs that differ in the seed alone: their means and standard deviations."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wae_rnf_jax.evaluation.comparison import EvaluatedRun
from wae_rnf_jax.evaluation.report import Metrics

_OF_NO_WEIGHT = ("step", "lm_step", "batch_size", "memory_limit_rows")  # in settings
_COUNTS = ("num_reconstructions", "num_generated", "num_probe_train")  # that metrics depend on


class Row(NamedTuple):
    """A line of a comparison: a run, or several that differ in the seed alone.

    Attributes:
      name: of the run, or of the folder that the runs share, with their number.
      runs: the runs.
      mean: their metrics; of one run, its own.
      deviation: sample standard deviations of those that differ; none of one run.
    """

    name: str
    runs: tuple[EvaluatedRun, ...]
    mean: Metrics
    deviation: Metrics


def pooled_rows(runs: Sequence[EvaluatedRun]) -> list[Row]:
    """Joins the runs that differ in the seed alone and were evaluated alike.

    Args:
      runs: evaluated runs.

    Returns:
      A row for each group, in the order of their first runs.
    """
    groups: dict[str, list[EvaluatedRun]] = {}
    for run in runs:
        alike = groups.setdefault(_all_but_seed(run), [])
        if run.seed in [other.seed for other in alike]:  # twice the same run is no sample of two
            alike = groups.setdefault(run.workdir, [])
        alike.append(run)
    names = [_name(group) for group in groups.values()]
    return [
        _row(name if names.count(name) == 1 else group[0].workdir, group)
        for name, group in zip(names, groups.values(), strict=True)
    ]


def single_rows(runs: Sequence[EvaluatedRun]) -> list[Row]:
    """A row for each run."""
    return [_row(run.name, [run]) for run in runs]


def _row(name: str, runs: Sequence[EvaluatedRun]) -> Row:
    if len(runs) == 1:
        return Row(name, tuple(runs), runs[0].metrics, {})
    shared = [key for key in runs[0].metrics if all(key in run.metrics for run in runs)]
    values = {key: [run.metrics[key] for run in runs] for key in shared}
    differ = [key for key, of_runs in values.items() if len(set(of_runs)) > 1]
    mean = {k: float(np.mean(v)) if k in differ else v[0] for k, v in values.items()}
    deviation = {key: float(np.std(values[key], ddof=1)) for key in differ}
    return Row(f"{name} ({len(runs)} seeds)", tuple(runs), mean, deviation)


def _name(runs: Sequence[EvaluatedRun]) -> str:
    """The folder of `train --seeds`, where runs lie in one, else their system."""
    if len(runs) == 1:
        return runs[0].name
    places = [Path(run.workdir) for run in runs]
    of_seeds = all(p.name == f"seed_{run.seed}" for p, run in zip(places, runs, strict=True))
    if of_seeds and len({place.parent for place in places}) == 1:
        return places[0].parent.name
    return runs[0].system


def _all_but_seed(run: EvaluatedRun) -> str:
    """What makes a run and its evaluation what they are, but for the run's seed and its step."""
    settings = {"proposal_scale": 1.0, **run.settings}  # newer than the oldest results
    settings = {key: value for key, value in settings.items() if key not in _OF_NO_WEIGHT}
    counts = [run.metrics.get(name) for name in _COUNTS]
    return json.dumps([run.identity, run.split, settings, counts], sort_keys=True)
