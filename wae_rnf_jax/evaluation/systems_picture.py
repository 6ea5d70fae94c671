"""The picture of systems side by side: KL, NLL and mutual information."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wae_rnf_jax.evaluation.pictures import COLORS, new_figure, saved
from wae_rnf_jax.evaluation.report import Metrics

# Title, its name among test results with its standard error, and its name in a validation.
PANELS = (
    ("KL (nats)", "kl", "kl_se", "kl"),
    ("NLL (nats per sentence)", "nll_iw", "nll_iw_se", "neg_elbo"),
    ("mutual information (nats)", "mi", "", "mi"),
)
_SOURCES = {
    True: {"color": COLORS[0], "label": "test split: NLL importance-weighted, ± standard error"},
    False: {
        "color": COLORS[0],
        "mfc": "white",
        "label": "last validation, not evaluated on test: NLL is the bound −ELBO",
    },
}


class System(NamedTuple):
    """What is shown of a run.

    Attributes:
      metrics: by name.
      tested: whether they are results on the test split, and not of the last validation.
      has_code: False for a language model, which has neither KL nor mutual information.
    """

    metrics: Metrics
    tested: bool = False
    has_code: bool = True


def save_systems(
    systems: Mapping[str, System], stem: Path, *, corpora: Sequence[str] = ()
) -> list[Path]:
    """Draws KL, NLL and MI by system, the three figures of the paper.

    Args:
      systems: by name.
      stem: path without suffix.
      corpora: names of the corpora, where there are several: the picture warns then.

    Returns:
      The files written, PNG first.
    """
    width = max(9.0, 2.4 + 1.35 * len(systems))  # inches: the numbers stand side by side
    with new_figure(width, 3.4, [*systems, *corpora]) as figure:
        shown: dict[str, object] = {}
        for panel, (title, name, error, before) in zip(figure.subplots(1, 3), PANELS, strict=True):
            values = []
            for place, system in enumerate(systems.values()):
                value, spread = _value(system, name, error, before)
                values.append(value)
                if np.isfinite(value):
                    look = _SOURCES[system.tested]
                    shown[look["label"]] = panel.errorbar(
                        place, value, spread or None, fmt="o", ms=6, capsize=3, **look
                    )
                _write(panel, place, value, spread)
            panel.set_xticks(range(len(systems)), list(systems), rotation=30, ha="right")
            panel.set(title=title, xlim=(-0.6, len(systems) - 0.4))
            panel.margins(y=0.25)
            low, high = panel.get_ylim()
            if low < 0 <= min((v for v in values if np.isfinite(v)), default=-1.0):
                panel.set_ylim(-0.06 * high, high)  # nothing is below 0
            panel.grid(visible=False, axis="x")
        figure.legend(shown.values(), shown, loc="outside lower center", ncols=2, fontsize=7)
        if len(corpora) > 1:
            figure.suptitle(
                f"different corpora, which cannot be compared: {', '.join(corpora)}",
                fontsize=8,
                color=COLORS[1],
            )
        return saved(figure, stem)


def _value(system: System, name: str, error: str, before: str) -> tuple[float, float]:
    """A metric and its standard error, 0 where that is not known; NaN where there is none."""
    metrics = system.metrics
    if not system.has_code and name != "nll_iw":
        return np.nan, 0.0
    if system.tested:
        return metrics.get(name, np.nan), float(np.nan_to_num(metrics.get(error, 0.0)))
    return metrics.get(before, np.nan), 0.0


def _write(panel, place: int, value: float, spread: float) -> None:
    """The number above its mark and error; "none" at the bottom where there is none."""
    known = np.isfinite(value)
    panel.annotate(
        f"{np.round(value, 2) + 0.0:.2f}" if known else "none",
        (place, value + spread if known else 0.0),
        xycoords="data" if known else ("data", "axes fraction"),
        xytext=(0, 8 if known else 5),
        textcoords="offset points",
        ha="center",
        fontsize=7,
    )
