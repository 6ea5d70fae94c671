"""Pictures: the latent plane, training curves, systems side by side.

One look throughout: the Okabe–Ito colours, which colour-blind eyes tell apart, each with a marker
or a dash of its own; axes labelled with units; PNG and SVG of the same figure.
"""

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wae_rnf_jax.errors import warn
from wae_rnf_jax.storage.files import new_file

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
DASHES = ("-", "--", "-.", ":")
FONT = "DejaVu Sans"  # matplotlib's own
_STYLE = {
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in a name is a $
    "svg.hashsalt": "wae_rnf_jax",  # the same figure gives the same file
}

# Name in the metrics, title with unit; read from the validations but for λ.
CURVES = (
    ("neg_elbo", "negative ELBO (nats a sentence)"),
    ("rec", "reconstruction (nats a sentence)"),
    ("kl", "KL (nats)"),
    ("mi", "mutual information (nats)"),
    ("au", "active units"),
    ("kl_weight", "λ, the weight of the KL"),
)
BARS = (
    ("kl", "KL (nats)"),
    ("neg_elbo", "NLL, the bound −ELBO (nats)"),
    ("mi", "mutual information (nats)"),
)


class PlanePicture(NamedTuple):
    """What the picture of a latent plane shows; coordinates are in the plane.

    Attributes:
      x: [G] of the grid's columns.
      y: [G'] of the grid's rows.
      log_magnification: [G', G] nats, NaN where degenerate.
      codes: [N, 2] of sentences.
      centers: [C, 2] of the codebook, or none.
      straight: [P, 2] path.
      geodesic: [P', 2] path, projected onto the plane.
      title: above the picture.
      magnification_label: beside the colour bar.
      axis_labels: of x and y.
    """

    x: np.ndarray
    y: np.ndarray
    log_magnification: np.ndarray
    codes: np.ndarray
    centers: np.ndarray
    straight: np.ndarray
    geodesic: np.ndarray
    title: str
    magnification_label: str
    axis_labels: tuple[str, str]


def save_plane(picture: PlanePicture, stem: Path) -> list[Path]:
    """Draws a latent plane coloured by log-magnification, with codes, centres and two paths.

    Args:
      picture: what it shows.
      stem: path without suffix.

    Returns:
      The files written, PNG first.
    """
    with _figure(6.4, 5.0, (picture.title, *picture.axis_labels)) as figure:
        axes = figure.subplots()
        mesh = axes.pcolormesh(
            picture.x, picture.y, picture.log_magnification, cmap="cividis", rasterized=True
        )
        figure.colorbar(mesh, ax=axes, label=picture.magnification_label)
        axes.plot(
            *picture.codes.T, ".", ms=3, color="white", mec="black", mew=0.3, label="sentences"
        )
        if len(picture.centers):
            axes.plot(
                *picture.centers.T,
                "^",
                ms=6,
                color=COLORS[4],
                mec="black",
                mew=0.6,
                label="centres",
            )
        axes.plot(*picture.straight.T, "--", lw=1.8, color="white", label="straight path")
        axes.plot(*picture.geodesic.T, "-", lw=2.2, color=COLORS[1], label="geodesic")
        axes.plot(*picture.straight[[0, -1]].T, "o", ms=7, color=COLORS[1], mec="white", mew=1.2)
        axes.set(
            title=picture.title,
            xlabel=picture.axis_labels[0],
            ylabel=picture.axis_labels[1],
            xlim=(picture.x[0], picture.x[-1]),
            ylim=(picture.y[0], picture.y[-1]),
            aspect="equal",
        )
        axes.grid(visible=False)
        legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=True)
        legend.get_frame().set(facecolor="#888888", edgecolor="none")
        return _saved(figure, stem)


def save_training_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], stem: Path) -> list[Path]:
    """Draws bound, rec, KL, MI, AU and λ over the steps, one line a run.

    All but λ are scaled by the last three quarters of the lines.

    Args:
      runs: the lines of `metrics.jsonl` by the run's name.
      stem: path without suffix.

    Returns:
      The files written, PNG first.
    """
    handles: dict[str, Any] = {}
    with _figure(9.0, 5.0, runs) as figure:
        panels = figure.subplots(2, 3).ravel()
        for panel, (name, title) in zip(panels, CURVES, strict=True):
            for number, (run, lines) in enumerate(runs.items()):
                split = "train" if name == "kl_weight" else "valid"
                found = [
                    (line["step"], line[name])
                    for line in lines
                    if line["split"] == split and name in line
                ]
                if found:
                    (handles[run],) = panel.plot(
                        *np.array(found, float).T,
                        **_line_style(number),
                        marker="o" if len(found) < 20 else None,
                        ms=3,
                    )
            panel.set(title=title, xlabel="step")
            if panel.lines and name != "kl_weight":
                _show_the_later_part(panel)
            if name == "au":
                panel.yaxis.get_major_locator().set_params(integer=True)
            if not panel.lines:
                panel.text(0.5, 0.5, "not measured", ha="center", transform=panel.transAxes)
        named = {run: handles[run] for run in runs if run in handles}
        figure.legend(named.values(), named, loc="outside lower center", ncols=6)
        return _saved(figure, stem)


def _line_style(number: int) -> dict[str, str]:
    """Colour and dash of a line, which the first 32 have each for itself."""
    turn = number // len(COLORS)
    return {
        "color": COLORS[number % len(COLORS)],
        "ls": DASHES[(number + turn) % len(DASHES)],
    }


def _show_the_later_part(panel) -> None:
    """Scales the y-axis by the last three quarters of each line: before, values have any size."""
    later = np.concatenate([line.get_ydata()[len(line.get_ydata()) // 4 :] for line in panel.lines])
    later = later[np.isfinite(later)]
    if later.size and np.ptp(later) > 0:
        margin = 0.08 * np.ptp(later)
        panel.set_ylim(later.min() - margin, later.max() + margin)


def save_systems(figures: Mapping[str, Mapping[str, float]], stem: Path) -> list[Path]:
    """Draws KL, NLL and MI by system, the three figures of the paper.

    Args:
      figures: of the last validation, by the system's name.
      stem: path without suffix.

    Returns:
      The files written, PNG first.
    """
    width = max(9.0, 2.4 + 1.35 * len(figures))  # inches: the numbers stand side by side
    with _figure(width, 3.0, figures) as figure:
        for panel, (name, title) in zip(figure.subplots(1, 3), BARS, strict=True):
            values = np.array([of_system.get(name, np.nan) for of_system in figures.values()])
            places = np.arange(len(values))
            known = values[np.isfinite(values)]
            if known.size and known.min() > 0.5 * known.max():
                # Near each other and far from 0: points, as bars would need the 0.
                panel.plot(places, values, "o", ms=7, color=COLORS[0])
                panel.margins(y=0.3)
            else:
                panel.bar(places, values, color=COLORS[0], width=0.65)
                panel.margins(y=0.12)
            for place, value in zip(places, values, strict=True):
                is_known = np.isfinite(value)
                panel.annotate(
                    f"{np.round(value, 2) + 0.0:.2f}" if is_known else "none",
                    (place, value if is_known else 0.0),
                    xycoords="data" if is_known else ("data", "axes fraction"),
                    xytext=(0, 5),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7,
                )
            panel.set_xticks(places, list(figures), rotation=30, ha="right")
            panel.set(title=title, xlim=(-0.6, len(values) - 0.4))
            panel.grid(visible=False, axis="x")
        figure.supxlabel("validation split, last validation of each run", fontsize=8)
        return _saved(figure, stem)


@contextlib.contextmanager
def _figure(width: float, height: float, texts: Iterable[str]):
    """A matplotlib figure in the look of these pictures, with fonts for the given texts."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "font.family": _fonts(texts)}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `_fonts` has said it
        yield Figure(figsize=(width, height))


def _fonts(texts: Iterable[str]) -> list[str]:
    """The usual font, and installed ones with the characters of texts that it lacks."""
    from matplotlib import font_manager

    fonts = [FONT]
    lacking = {character for text in texts for character in text if not character.isspace()}
    lacking -= _characters(font_manager.findfont(FONT))
    for entry in font_manager.fontManager.ttflist if lacking else ():
        # The last resort has a box for every character.
        if not entry.name.startswith("Last Resort") and (
            found := lacking & _characters(entry.fname)
        ):
            fonts.append(entry.name)
            lacking -= found
    if lacking:
        shown = "".join(sorted(lacking)[:5])
        warn(
            f"no installed font has {shown} ({len(lacking)} characters in all), which are boxes in "
            "the picture: install a font that has them, such as Noto Sans CJK"
        )
    return fonts


def _characters(font: str) -> set[str]:
    from matplotlib import font_manager

    try:
        return set(map(chr, font_manager.get_font(font).get_charmap()))
    except (OSError, RuntimeError):  # a file that is no font, or gone
        return set()


def _saved(figure, stem: Path) -> list[Path]:
    """Writes PNG and SVG, each in one move."""
    files = []
    for suffix in (".png", ".svg"):
        path = stem.with_name(stem.name + suffix)
        metadata = {"Date": None} if suffix == ".svg" else None
        with new_file(path) as file:
            figure.savefig(file, format=suffix[1:], metadata=metadata)
        files.append(path)
    return files
