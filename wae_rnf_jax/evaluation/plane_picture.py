"""The picture of a latent plane: its magnification, sentences' codes, and two paths."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wae_rnf_jax.evaluation.pictures import COLORS, new_figure, saved

_MARKS = "os^DvP*X"  # of labels, each with a color of its own
# Of labels, edged in black: apart from each other on the map, which goes from blue to yellow.
_OF_LABELS = (
    "#FFFFFF",
    "#CC79A7",
    "#56B4E9",
    "#009E73",
    "#D55E00",
    "#F0E442",
    "#000000",
    "#BBBBBB",
)
_LINE = 64  # characters of a given sentence that are shown


class PlanePicture(NamedTuple):
    """What the picture of a latent plane shows; coordinates are in the plane.

    Attributes:
      x: [G] of the grid's columns.
      y: [G'] of the grid's rows.
      log_magnification: [G', G] nats, NaN where degenerate.
      codes: [N, 2] of sentences.
      labels: the N sentences' labels, or None.
      centers: [C, 2] of the codebook, or none.
      straight: [P, 2] path.
      geodesic: [P', 2] path, projected onto the plane.
      given: [2, 2] or [3, 2] codes of the sentences that were given, the paths' ends first.
      sentences: these sentences.
      title: above the picture.
      magnification_label: beside the color bar.
      axis_labels: of x and y.
    """

    x: np.ndarray
    y: np.ndarray
    log_magnification: np.ndarray
    codes: np.ndarray
    labels: Sequence[str] | None
    centers: np.ndarray
    straight: np.ndarray
    geodesic: np.ndarray
    given: np.ndarray
    sentences: Sequence[str]
    title: str
    magnification_label: str
    axis_labels: tuple[str, str]


def save_plane(picture: PlanePicture, stem: Path) -> list[Path]:
    """Draws a latent plane colored by log-magnification, with codes, centers and two paths.

    Args:
      picture: what it shows.
      stem: path without suffix.

    Returns:
      The files written, PNG first.
    """
    texts = (picture.title, *picture.axis_labels, *picture.sentences, *(picture.labels or ()))
    with new_figure(6.4, 5.6, texts) as figure:
        axes = figure.subplots()
        _draw_map(figure, axes, picture)
        _draw_codes(axes, picture)
        if len(picture.centers):
            mark = {"color": COLORS[4], "mec": "black", "mew": 0.6}
            axes.plot(*picture.centers.T, "P", ms=7, label="codebook centers", **mark)
        _draw_paths(axes, picture)
        axes.set(xlabel=picture.axis_labels[0], ylabel=picture.axis_labels[1], aspect="equal")
        axes.set(xlim=picture.x[[0, -1]], ylim=picture.y[[0, -1]])
        axes.set_title(picture.title)
        axes.grid(visible=False)
        # Light marks are seen on gray.
        legend = figure.legend(loc="outside lower center", ncols=4, frameon=True)
        legend.get_frame().set(facecolor="#999999", edgecolor="none")
        figure.suptitle(_given_lines(picture), fontsize=8, x=0.02, ha="left")
        return saved(figure, stem)


def _draw_map(figure, axes, picture: PlanePicture) -> None:
    """The magnification, smooth between the points of the grid that it was measured at."""
    x, y = picture.x, picture.y
    step = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    image = axes.imshow(
        np.ma.masked_invalid(picture.log_magnification),
        extent=(x[0] - step[0], x[-1] + step[0], y[0] - step[1], y[-1] + step[1]),
        origin="lower",
        interpolation="bilinear",
        cmap="cividis",
        aspect="auto",
    )
    figure.colorbar(image, ax=axes, label=picture.magnification_label)


def _draw_codes(axes, picture: PlanePicture) -> None:
    """Codes of sentences, each label in a color and a mark of its own, rare ones as others."""
    edge = {"mec": "black", "mew": 0.4, "ls": "none"}
    if picture.labels is None:
        axes.plot(*picture.codes.T, ".", ms=4, color="white", label="sentences", **edge)
        return
    labels = np.array(picture.labels, object)
    common = [label for label, _ in Counter(picture.labels).most_common()]
    shown = common if len(common) <= len(_MARKS) else common[: len(_MARKS) - 1]
    for label, color, mark in zip(sorted(shown), _OF_LABELS, _MARKS, strict=False):
        found = picture.codes[labels == label]
        axes.plot(*found.T, mark, ms=4, color=color, label=f"label {label}", **edge)
    others = picture.codes[~np.isin(labels, np.array(shown, object))]
    if len(others):
        axes.plot(*others.T, _MARKS[-1], ms=4, color=_OF_LABELS[-1], label="other labels", **edge)


def _draw_paths(axes, picture: PlanePicture) -> None:
    """Both paths, edged so that they are seen on dark and on bright ground; their ends named."""
    from matplotlib import patheffects

    for line, look, edge, name in (
        (picture.straight, {"ls": (0, (4, 2)), "color": "white"}, "black", "straight path"),
        (picture.geodesic, {"ls": "-", "color": COLORS[1]}, "white", "geodesic"),
    ):
        stroke = [patheffects.Stroke(linewidth=3.6, foreground=edge), patheffects.Normal()]
        axes.plot(*line.T, lw=1.8, label=name, path_effects=stroke, zorder=3, **look)
    for letter, place in zip("ABC", picture.given, strict=False):
        axes.plot(*place, "o", ms=7, color=COLORS[1], mec="white", mew=1.2, zorder=4)
        axes.annotate(
            letter,
            place,
            xytext=(6, 6),
            textcoords="offset points",
            fontweight="bold",
            color="black",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
            zorder=5,
        )


def _given_lines(picture: PlanePicture) -> str:
    return "\n".join(
        f"{letter}: {textwrap.shorten(sentence, _LINE, placeholder=' …')}"
        for letter, sentence in zip("ABC", picture.sentences, strict=False)
    )
