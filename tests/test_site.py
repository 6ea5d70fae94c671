"""The site that Sphinx makes: no warning, nothing missing, and no link within it that is broken."""

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from bs4 import BeautifulSoup
from command_runs import ROOT

import wae_rnf_jax

PUBLIC = (*wae_rnf_jax.__all__, *wae_rnf_jax._WITH_FLAX)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built as the README says, a warning being an error."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"`\.venv/bin/python (-m sphinx .* )site/html`", readme)
    folder = tmp_path_factory.mktemp("site") / "html"
    words = [sys.executable, *shlex.split(command[1]), str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, BeautifulSoup]:
    """The pages of documents and reference, without those of source code."""
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.rglob("*.html")
        if "_modules" not in path.parts
    }


@pytest.fixture(scope="module")
def docstrings(pages) -> dict[str, str]:
    """What stands under each public name."""
    entries = {}
    for page in pages.values():
        for term in page.select("dt[id^='wae_rnf_jax.']"):
            entries[term["id"]] = term.find_next_sibling("dd").get_text()
    return entries


def test_every_public_name_has_its_entry(docstrings):
    missing = [name for name in PUBLIC if len(docstrings.get(f"wae_rnf_jax.{name}", "")) < 10]
    assert not missing


def test_docstrings_lose_no_character(docstrings):
    """A bar or a star in a formula is a mark in reStructuredText."""
    formulas = 0
    for name in PUBLIC:
        text = docstrings[f"wae_rnf_jax.{name}"]
        assert "\\" not in text, name
        value = getattr(wae_rnf_jax, name)
        written = inspect.getdoc(value) if callable(value) else ""  # else it is that of its type
        for formula in re.findall(r"\S*[|*]\S*", written):
            formulas += 1
            assert formula.replace("`", "") in text, name
    assert formulas > 20


def test_letters_of_shapes_are_explained(site, docstrings):
    """The first page of the reference has the letters of all modules."""
    first = (site / "docs" / "reference" / "index.html").read_text(encoding="utf-8")
    explained = set(re.findall(r"\b([A-Z]) ", BeautifulSoup(first, "html.parser").article.text))
    shapes = re.findall(
        r"\[((?:\.\.\., )?[A-Z](?: ?[+·] ?\d)?(?:, [A-Z](?: ?[+·] ?\d)?)*)\]",
        " ".join(docstrings.values()),
    )
    letters = {letter for shape in shapes for letter in re.findall(r"[A-Z]", shape)}
    assert len(letters) > 8
    assert letters <= explained


def test_every_link_within_the_site_leads_somewhere(site, pages):
    places = {path: {tag["id"] for tag in page.select("[id]")} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for tag in page.select("a[href], img[src]"):
            link = urlsplit(tag.get("href") or tag.get("src"))
            if link.scheme or link.netloc:
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            here = link.fragment in ("", *places.get(target, (link.fragment,)))
            if not target.exists() or not here:
                broken.append(f"{path.relative_to(site)}: {link.geturl()}")
    assert not broken


def test_every_document_is_there_and_is_found(site):
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "launch" / "README.md"]
    documents += [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.ipynb")]
    for document in documents:
        assert (site / document.relative_to(ROOT).with_suffix(".html")).exists(), document
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    index = json.loads(re.search(r"\{.*\}", (site / "searchindex.js").read_text())[0])
    at = {k for terms in ("terms", "titleterms") for k in np.ravel(index[terms]["geodes"])}
    found = {index["docnames"][k] for k in at}
    assert {"docs/guide", "docs/results", "docs/reference/curves"} <= found
