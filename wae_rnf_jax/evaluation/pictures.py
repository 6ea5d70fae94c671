"""What all pictures share: their look, their fonts, and how they are saved.

One look throughout: the Okabe–Ito colors, which color-blind eyes tell apart, each with a marker
or a dash of its own; axes labelled with units; PNG, SVG and PDF of the same figure, text as text.
"""

import contextlib
import warnings
from collections.abc import Iterable
from pathlib import Path

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
    "svg.fonttype": "none",  # text as text, which can be searched and edited
    "pdf.fonttype": 42,  # the same
    "svg.hashsalt": "wae_rnf_jax",  # the same figure gives the same file
}
# What would make two files of the same figure differ.
_DATES = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def line_style(number: int) -> dict[str, str]:
    """Color and dash of a line, which the first 32 have each for itself."""
    turn = number // len(COLORS)
    return {
        "color": COLORS[number % len(COLORS)],
        "ls": DASHES[(number + turn) % len(DASHES)],
    }


@contextlib.contextmanager
def new_figure(width: float, height: float, texts: Iterable[str]):
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
            f"no installed font has {shown} ({len(lacking)} characters in total), drawn as boxes: "
            "install a font that has them, such as Noto Sans CJK"
        )
    return fonts


def _characters(font: str) -> set[str]:
    from matplotlib import font_manager

    try:
        return set(map(chr, font_manager.get_font(font).get_charmap()))
    except (OSError, RuntimeError):  # a file that is no font, or gone
        return set()


def saved(figure, stem: Path) -> list[Path]:
    """Writes PNG, SVG and PDF, each in one move.

    Args:
      figure: matplotlib's.
      stem: path without suffix.

    Returns:
      The files, PNG first.
    """
    files = []
    for suffix, metadata in _DATES.items():
        path = stem.with_name(stem.name + suffix)
        with new_file(path) as file:
            figure.savefig(file, format=suffix[1:], metadata=metadata)
        files.append(path)
    return files
