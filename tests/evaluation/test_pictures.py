import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from wae_rnf_jax.evaluation import pictures


def assert_written(files):
    png, svg = files
    assert png.read_bytes().startswith(b"\x89PNG")
    text = "".join(ElementTree.parse(svg).getroot().itertext())
    assert not list(png.parent.glob(".*"))
    return text


@pytest.fixture
def plane():
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 2, 4)
    path = np.linspace([-0.5, -1.0], [0.5, 1.0], 6)
    return pictures.PlanePicture(
        x=x,
        y=y,
        log_magnification=np.add.outer(y, x),
        codes=np.zeros([3, 2]),
        centers=np.ones([2, 2]),
        straight=path,
        geodesic=path**2,
        title="the title",
        magnification_label="log-magnification (nats)",
        axis_labels=("first axis", "second axis"),
    )


def test_plane_shows_every_part_and_is_the_same_each_time(plane, tmp_path, monkeypatch):
    monkeypatch.setitem(pictures._STYLE, "svg.fonttype", "none")  # text as text
    files = pictures.save_plane(plane, tmp_path / "plane")
    text = assert_written(files)
    for part in ("the title", "first axis", "second axis", "(nats)", "geodesic", "centres"):
        assert part in text
    before = files[1].read_bytes()
    assert pictures.save_plane(plane, tmp_path / "plane")[1].read_bytes() == before


def test_plane_without_centres_names_none(plane, tmp_path, monkeypatch):
    monkeypatch.setitem(pictures._STYLE, "svg.fonttype", "none")
    files = pictures.save_plane(plane._replace(centers=np.zeros([0, 2])), tmp_path / "plane")
    assert "centres" not in assert_written(files)


def test_training_curves_name_runs_and_quantities(tmp_path, monkeypatch):
    monkeypatch.setitem(pictures._STYLE, "svg.fonttype", "none")
    lines = [
        {"step": step, "split": "valid", "neg_elbo": 9.0 - step, "rec": 8.0, "kl": 1.0}
        for step in (1, 2)
    ]
    runs = {"first run": lines, "second run": [{"step": 1, "split": "train", "kl_weight": 0.5}]}
    text = assert_written(pictures.save_training_curves(runs, tmp_path / "curves"))
    for part in ("first run", "second run", "negative ELBO", "λ", "step", "not measured"):
        assert part in text


def test_systems_show_each_value_once(tmp_path, monkeypatch):
    monkeypatch.setitem(pictures._STYLE, "svg.fonttype", "none")
    figures = {
        "lm": {"neg_elbo": 23.68, "kl": 0.0},
        "wae_rnf": {"neg_elbo": 23.86, "kl": 2.62, "mi": 2.58},
    }
    text = assert_written(pictures.save_systems(figures, tmp_path / "systems"))
    for part in ("23.68", "23.86", "2.62", "2.58", "none", "lm", "wae_rnf"):
        assert part in text


CURVE = [{"step": step, "split": "valid", "kl": 1.0 * step} for step in (1, 2)]


def test_any_name_is_shown_as_it_is(tmp_path, monkeypatch):
    """Also one that the legend would leave out, or that reads as wrong TeX."""
    monkeypatch.setitem(pictures._STYLE, "svg.fonttype", "none")
    names = ("_hidden", r"cost$\frac{", "a$b$c", "", " ", "x" * 40)
    figures = {"kl": 1.0, "neg_elbo": 2.0, "mi": 3.0}
    for save, of_each in ((pictures.save_training_curves, CURVE), (pictures.save_systems, figures)):
        content = dict.fromkeys(names, of_each)
        text = assert_written(save(content, tmp_path / "names"))
        assert all(name in text for name in names)


def test_characters_without_a_font_are_said_once_and_drawn(tmp_path, capsys, recwarn):
    letter = "\U000e0041"  # a tag, which no font has a picture of
    files = pictures.save_systems({f"名{letter}": {"kl": 1.0}, letter: {}}, tmp_path / "systems")
    assert_written(files)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("wae-rnf: no installed font has ")
    assert letter in said[0]
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_each_of_many_runs_has_a_line_of_its_own():
    styles = [tuple(pictures._line_style(number).values()) for number in range(32)]
    assert len(set(styles)) == 32
    assert len({dash for _, dash in styles[:4]}) == 4


@pytest.mark.parametrize("number", [3, 10, 24])
def test_numbers_of_many_systems_do_not_overlap(number, tmp_path, monkeypatch):
    boxes = []

    def saved(figure, stem):
        FigureCanvasAgg(figure).draw()
        for panel in figure.axes:
            texts = [x for x in panel.texts if x.get_text()]
            extents = [text.get_window_extent() for text in texts]
            boxes.append(sorted((box.x0, box.x1) for box in extents))
        return []

    monkeypatch.setattr(pictures, "_saved", saved)
    figures = {f"s{i}": {"kl": 100.0 + i, "neg_elbo": 100.0, "mi": 123.4} for i in range(number)}
    pictures.save_systems(figures, tmp_path / "systems")
    assert len(boxes) == 3
    for panel in boxes:
        assert len(panel) == number
        assert all(left[1] <= right[0] for left, right in itertools.pairwise(panel))
