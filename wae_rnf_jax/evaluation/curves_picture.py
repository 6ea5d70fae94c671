"""The picture of training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wae_rnf_jax.evaluation.pictures import line_style, new_figure, saved

# Name in the metrics, title with unit; read from the validations but for λ.
CURVES = (
    ("neg_elbo", "negative ELBO (nats per sentence)"),
    ("rec", "reconstruction (nats per sentence)"),
    ("kl", "KL (nats)"),
    ("mi", "mutual information (nats)"),
    ("au", "active units"),
    ("kl_weight", "λ, the weight of the KL"),
)
WITH_CODE = {"kl", "mi", "au", "kl_weight"}  # which a language model has not
_BEYOND = "▲▼ values outside the panel, in the first quarter of a run"
Lines = Sequence[Mapping[str, Any]]


def save_training_curves(runs: Mapping[str, Lines], stem: Path) -> list[Path]:
    """Draws bound, rec, KL, MI, AU and λ over the steps, one line a run.

    All but λ are scaled by the last three quarters of the lines; where earlier points lie beyond,
    a mark at the edge says so.

    Args:
      runs: the lines of `metrics.jsonl` by the run's name.
      stem: path without suffix.

    Returns:
      The files written, PNG first.
    """
    handles: dict[str, Any] = {}
    with new_figure(9.0, 5.2, runs) as figure:
        panels = figure.subplots(2, 3).ravel()
        cut = False
        for panel, (name, title) in zip(panels, CURVES, strict=True):
            for number, (run, lines) in enumerate(runs.items()):
                found = _values(lines, name)
                if len(found):
                    few = {"marker": "o", "ms": 3} if len(found) < 20 else {}
                    (handles[run],) = panel.plot(*found.T, **line_style(number), **few)
            panel.set(title=title, xlabel="step")
            if panel.lines and name != "kl_weight":
                cut |= _show_the_later_part(panel)
            if name == "au":
                panel.yaxis.get_major_locator().set_params(integer=True)
            if not panel.lines:
                panel.text(0.5, 0.5, "not measured", ha="center", transform=panel.transAxes)
        named = {run: handles[run] for run in runs if run in handles}
        note = {"title": _BEYOND, "title_fontsize": 7} if cut else {}
        figure.legend(named.values(), named, loc="outside lower center", ncols=6, **note)
        return saved(figure, stem)


def _values(lines: Lines, name: str) -> np.ndarray:
    """Steps and values of a quantity, [N, 2]; none of what the run has not."""
    validations = [line for line in lines if line["split"] == "valid"]
    if name in WITH_CODE and validations and not any("mi" in line for line in validations):
        return np.zeros((0, 2))  # a language model's KL and λ, which it has not, are 0
    split = "train" if name == "kl_weight" else "valid"
    found = [(x["step"], x[name]) for x in lines if x["split"] == split and name in x]
    return np.array(found, float).reshape(-1, 2)


def _show_the_later_part(panel) -> bool:
    """Scales the y-axis by the last three quarters of each line: before, values have any size.

    Returns whether points lie beyond; each is marked at the panel's edge.
    """
    lines = list(panel.lines)
    later = np.concatenate([line.get_ydata()[len(line.get_ydata()) // 4 :] for line in lines])
    later = later[np.isfinite(later)]
    if not later.size or not np.ptp(later) > 0:
        return False
    margin = 0.08 * np.ptp(later)
    low, high = later.min() - margin, later.max() + margin
    panel.set_ylim(low, high)
    beyond = False
    for line in lines:
        x, y = line.get_data()
        for where, mark, place in ((y > high, "^", 1.0), (y < low, "v", 0.0)):
            if where.any():
                beyond = True
                panel.plot(
                    x[where],
                    np.full(where.sum(), place),
                    mark,
                    ms=4,
                    color=line.get_color(),
                    transform=panel.get_xaxis_transform(),
                    clip_on=False,
                    zorder=5,
                )
    return beyond
