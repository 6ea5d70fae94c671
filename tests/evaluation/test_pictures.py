import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from wae_rnf_jax.evaluation import curves_picture, pictures, plane_picture, systems_picture
from wae_rnf_jax.evaluation.curves_picture import save_training_curves
from wae_rnf_jax.evaluation.plane_picture import save_plane
from wae_rnf_jax.evaluation.systems_picture import System, save_systems


def assert_written(files):
    png, svg, pdf = files
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in pdf.read_bytes()  # text as text
    text = "".join(ElementTree.parse(svg).getroot().itertext())
    assert not list(png.parent.glob(".*"))
    return text


@pytest.fixture
def plane():
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 2, 4)
    path = np.linspace([-0.5, -1.0], [0.5, 1.0], 6)
    return plane_picture.PlanePicture(
        x=x,
        y=y,
        log_magnification=np.add.outer(y, x),
        codes=np.zeros([3, 2]),
        labels=None,
        centers=np.ones([2, 2]),
        straight=path,
        geodesic=path**2,
        given=path[[0, -1]],
        sentences=("the first sentence", "the last one " * 9),
        title="the title",
        magnification_label="log-magnification (nats)",
        axis_labels=("first axis", "second axis"),
    )


def test_plane_shows_every_part_and_is_the_same_each_time(plane, tmp_path):
    files = save_plane(plane, tmp_path / "plane")
    text = assert_written(files)
    for part in ("the title", "first axis", "second axis", "(nats)", "geodesic", "centers"):
        assert part in text
    assert "A: the first sentence" in text
    assert re.search(r"B: (the last one )+the last …\n", text)
    assert "sentences" in text
    before = [path.read_bytes() for path in files]
    again = save_plane(plane, tmp_path / "plane")
    assert [path.read_bytes() for path in again] == before


def test_plane_without_centers_names_none(plane, tmp_path):
    files = save_plane(plane._replace(centers=np.zeros([0, 2])), tmp_path / "plane")
    assert "centers" not in assert_written(files)


@pytest.mark.parametrize("number, others", [(2, False), (8, False), (12, True)])
def test_codes_are_told_apart_by_their_labels(number, others, plane, tmp_path):
    names = [f"<{n}>" for n in range(number)]
    labels = [name for n, name in enumerate(names) for _ in range(number - n)]
    labelled = plane._replace(codes=np.zeros([len(labels), 2]), labels=labels)
    text = assert_written(save_plane(labelled, tmp_path / "plane"))
    shown = names[:7] if others else names
    assert all(f"label {name}" in text for name in shown)
    assert ("other labels" in text) == others
    assert text.count("label <") == len(shown)


def test_a_map_with_holes_is_drawn(plane, tmp_path):
    holes = plane.log_magnification.copy()
    holes[1, 2] = np.nan
    assert_written(save_plane(plane._replace(log_magnification=holes), tmp_path / "plane"))


def test_training_curves_name_runs_and_quantities(tmp_path):
    lines = [
        {"step": step, "split": "valid", "neg_elbo": 9.0 - step, "rec": 8.0, "kl": 1.0}
        for step in (1, 2)
    ]
    runs = {"first run": lines, "second run": [{"step": 1, "split": "train", "kl_weight": 0.5}]}
    text = assert_written(save_training_curves(runs, tmp_path / "curves"))
    for part in ("first run", "second run", "negative ELBO", "λ", "step", "not measured"):
        assert part in text


def drawn(monkeypatch, module):
    """The figures that a module draws, in place of the files."""
    found = []

    def saved(figure, stem):
        FigureCanvasAgg(figure).draw()
        found.append(figure)
        return []

    monkeypatch.setattr(module, "saved", saved)
    return found


def test_early_points_beyond_a_panel_are_marked(tmp_path, monkeypatch):
    figures = drawn(monkeypatch, curves_picture)
    values = [(1, 90.0), (2, 9.0), (3, 8.0), (4, 8.5), (5, 8.1)]
    lines = [{"step": n, "split": "valid", "neg_elbo": y, "mi": 1.0} for n, y in values]
    save_training_curves({"run": lines}, tmp_path / "curves")
    (figure,) = figures
    line, mark = figure.axes[0].lines
    assert line.get_ydata().tolist() == [y for _, y in values]
    assert (mark.get_marker(), mark.get_xdata().tolist()) == ("^", [1.0])
    assert figure.axes[0].get_ylim()[1] < 10
    assert figure.legends[0].get_title().get_text().startswith("▲")


def test_a_language_model_is_shown_where_it_has_values(tmp_path, monkeypatch):
    figures = drawn(monkeypatch, curves_picture)
    both = {"neg_elbo": 9.0, "rec": 9.0, "kl": 0.0}
    weight = {"step": 1, "split": "train", "kl_weight": 0.0}
    lm = [{"step": 1, "split": "valid", **both}, weight]
    vae = [{"step": 1, "split": "valid", **both, "mi": 0.0, "au": 0}, weight]
    save_training_curves({"lm": lm, "vae": vae}, tmp_path / "curves")
    numbers = [len(panel.lines) for panel in figures[0].axes]
    assert numbers == [2, 2, 1, 1, 1, 1]


def test_test_results_have_errors_and_validations_none(tmp_path, monkeypatch):
    figures = drawn(monkeypatch, systems_picture)
    tested = {"nll_iw": 9.0, "nll_iw_se": 0.5, "neg_elbo": 9.5, "kl": 2.0, "kl_se": 0.1, "mi": 1.0}
    systems = {
        "lm": System({"nll_iw": 8.0, "nll_iw_se": 0.4, "kl": 0.0, "mi": 0.0}, True, False),
        "wae": System(tested, tested=True),
        "vae": System({"neg_elbo": 9.25, "kl": 0.25, "mi": 0.1}),
    }
    save_systems(systems, tmp_path / "systems", corpora=("one", "other"))
    (figure,) = figures
    kl, nll, mi = (panel.containers for panel in figure.axes)
    assert [len(bars) for bars in (kl, nll, mi)] == [2, 3, 2]
    errors = [bar.has_yerr for bar in nll]
    assert errors == [True, True, False]
    assert [float(bar[0].get_ydata()[0]) for bar in nll] == [8.0, 9.0, 9.25]
    assert {bar[0].get_marker() for bars in (kl, nll, mi) for bar in bars} == {"o"}
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 2
    assert "different corpora, which cannot be compared: one, other" in figure.get_suptitle()


def test_systems_show_each_value_once(tmp_path):
    figures = {
        "lm": System({"neg_elbo": 23.68, "kl": 0.0}, has_code=False),
        "wae_rnf": System({"neg_elbo": 23.86, "kl": 2.62, "mi": 2.58}),
    }
    text = assert_written(save_systems(figures, tmp_path / "systems"))
    for part in ("23.68", "23.86", "2.62", "2.58", "none", "lm", "wae_rnf"):
        assert part in text


CURVE = [{"step": step, "split": "valid", "kl": 1.0 * step, "mi": 1.0} for step in (1, 2)]


def test_any_name_is_shown_as_it_is(tmp_path):
    """Also one that the legend would leave out, or that reads as wrong TeX."""
    names = ("_hidden", r"cost$\frac{", "a$b$c", "", " ", "x" * 40)
    figures = System({"kl": 1.0, "neg_elbo": 2.0, "mi": 3.0})
    for save, of_each in ((save_training_curves, CURVE), (save_systems, figures)):
        content = dict.fromkeys(names, of_each)
        text = assert_written(save(content, tmp_path / "names"))
        assert all(name in text for name in names)


def test_characters_without_a_font_are_said_once_and_drawn(tmp_path, capsys, recwarn):
    letter = "\U000e0041"  # a tag, which no font has a picture of
    systems = {f"名{letter}": System({"kl": 1.0}), letter: System({})}
    files = save_systems(systems, tmp_path / "systems")
    assert_written(files)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("wae-rnf: no installed font has ")
    assert letter in said[0] or "\\U000e0041" in said[0]  # as the stream can show it
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_each_of_many_runs_has_a_line_of_its_own():
    styles = [tuple(pictures.line_style(number).values()) for number in range(32)]
    assert len(set(styles)) == 32
    assert len({dash for _, dash in styles[:4]}) == 4


@pytest.mark.parametrize("number", [3, 10, 24])
def test_numbers_of_many_systems_do_not_overlap(number, tmp_path, monkeypatch):
    figures = drawn(monkeypatch, systems_picture)
    values = {"neg_elbo": 100.0, "mi": 123.4}
    systems = {f"s{i}": System({"kl": 100.0 + i, **values}) for i in range(number)}
    save_systems(systems, tmp_path / "systems")
    for panel in figures[0].axes:
        texts = [text for text in panel.texts if text.get_text()]
        boxes = sorted((box.x0, box.x1) for box in (t.get_window_extent() for t in texts))
        assert len(boxes) == number
        assert all(left[1] <= right[0] for left, right in itertools.pairwise(boxes))
