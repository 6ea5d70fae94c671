"""The reference that pdoc makes from the docstrings: complete, and rendered as it was meant."""

import re
import runpy
import warnings
from html.parser import HTMLParser

import pytest
from command_runs import ROOT

import wae_rnf_jax

# What Markdown makes of a docstring here. `<bos>` outside back-quotes would be an element too, and
# two stars or bars in formulas would be emphasis or a table; any of them would lose characters.
TAGS = {"a", "blockquote", "code", "div", "h6", "li", "p", "pre", "span", "strong", "ul"}


class Docstrings(HTMLParser):
    """The tags and the text inside each docstring, by the name of what it documents."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, set[str]] = {}
        self.text: dict[str, str] = {}
        self._name, self._depth = "", 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "section" and values.get("id"):
            self._name = values["id"]
        if self._depth:
            self.tags[self._name].add(tag)
        if tag == "div" and (self._depth or values.get("class") == "docstring"):
            self._depth += 1
            self.tags.setdefault(self._name, set())

    def handle_endtag(self, tag):
        self._depth -= tag == "div" and self._depth > 0

    def handle_data(self, data):
        if self._depth:
            self.text[self._name] = self.text.get(self._name, "") + data


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Docstrings:
    """Built as the README says, a warning being an error."""
    folder = tmp_path_factory.mktemp("reference")
    script = re.search(r"python (docs/\w+\.py)`", (ROOT / "README.md").read_text())
    make_reference = runpy.run_path(str(ROOT / script[1]))["make_reference"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_reference(folder)
    docstrings = Docstrings()
    docstrings.feed((folder / "wae_rnf_jax.html").read_text())
    return docstrings


def test_every_public_name_has_its_entry(reference):
    public = (*wae_rnf_jax.__all__, *wae_rnf_jax._WITH_FLAX)
    missing = [name for name in public if len(reference.text.get(name, "")) < 10]
    assert not missing


def test_docstrings_are_rendered_as_meant(reference):
    assert {"li", "pre"} <= set.union(*reference.tags.values())
    wrong = {name: tags - TAGS for name, tags in reference.tags.items() if tags - TAGS}
    assert not wrong


def test_an_element_in_a_docstring_is_found():
    docstrings = Docstrings()
    docstrings.feed('<section id="f"><div class="docstring"><p>reads <bos> w</p></div><i>x</i>')
    assert docstrings.tags == {"f": {"p", "bos"}}
    assert docstrings.text == {"f": "reads  w"}


def test_letters_of_shapes_are_explained(reference):
    """The page is of the package alone; its docstring has the letters of all modules."""
    explained = set(re.findall(r"\b([A-Z]) ", reference.text[""]))
    shapes = re.findall(
        r"\[((?:\.\.\., )?[A-Z](?: ?[+·] ?\d)?(?:, [A-Z](?: ?[+·] ?\d)?)*)\]",
        " ".join(reference.text.values()),
    )
    letters = {letter for shape in shapes for letter in re.findall(r"[A-Z]", shape)}
    assert len(letters) > 8
    assert letters <= explained
