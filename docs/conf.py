"""Makes a site of the documents and the public names: python -m sphinx -qW -c docs . site/html.

The pages are README.md, CHANGELOG.md, launch/README.md and what lies in this folder, as they are
in the checkout; the reference is made from the docstrings, into docs/reference.
"""

import inspect
import re
import shutil
import sys
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import wae_rnf_jax

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"

project = "wae_rnf_jax"
copyright = "the wae_rnf_jax authors"
release = version = metadata.version("wae_rnf_jax")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/**", "launch/README.md"]
exclude_patterns = [".*", "runs", "site", "tests", "wae_rnf_jax", "**/.ipynb_checkpoints"]

default_role = "code"  # docstrings are also read as they are: `x`, and not ``x``
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False
nb_execution_mode = "off"  # as they were run: a test runs them
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "wae_rnf_jax"
html_copy_source = False

# What README's table of documents has, in its order.
PAGES = {
    "Using it": ["docs/guide", "docs/trained_run", "docs/training", "docs/corpora"],
    "Building on it": [
        "docs/mathematics",
        "docs/notebook",
        "docs/curved_space",
        "docs/architecture",
        "docs/extending",
        "docs/reference/index",
    ],
    "Several devices": ["launch/README", "docs/hosts", "docs/scaling", "docs/performance"],
    "What came out": ["docs/results", "docs/samples", "CHANGELOG"],
}


def with_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Adds to README, which is the first page, the list of all others."""
    if page == root_doc:
        for title, pages in PAGES.items():
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n"
            source[0] += "\n".join(f"/{name}" for name in pages) + "\n```\n"


def write_reference(app: Sphinx) -> None:
    """Writes a page for each module that public names come from."""
    shutil.rmtree(REFERENCE, ignore_errors=True)
    REFERENCE.mkdir()
    by_module: dict[str, dict[str, Any]] = {}
    for name in (*wae_rnf_jax._WITH_FLAX, *wae_rnf_jax.__all__):
        value = getattr(wae_rnf_jax, name)
        by_module.setdefault(_home(name, value), {})[name] = value
    index = "# Reference\n\n" + inspect.cleandoc(wae_rnf_jax.__doc__) + "\n\n"
    for module, names in sorted(
        by_module.items(), key=lambda item: ("functional" in item[0], item)
    ):
        page = module.removeprefix("wae_rnf_jax.").removeprefix("functional.")
        title = inspect.getdoc(sys.modules[module]).split("\n\n")[0].replace("\n", " ").rstrip(".")
        text = f"# {page}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :no-members:\n\n"
        text += ".. currentmodule:: wae_rnf_jax\n\n"
        text += "\n\n".join(_directive(module, *item) for item in names.items())
        (REFERENCE / f"{page}.md").write_text(text + "\n```\n", encoding="utf-8")
        listed = ", ".join(f"{{py:obj}}`~wae_rnf_jax.{name}`" for name in names)
        index += f"- [{title}]({page}.md): {listed}\n"
    index += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"
    (REFERENCE / "index.md").write_text(index, encoding="utf-8")


def _directive(module: str, name: str, value: Any) -> str:
    """What documents a public name, in reStructuredText."""
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:"
    if callable(value):
        return f".. autofunction:: {name}"
    written = ModuleAnalyzer.for_module(module).find_attr_docs()["", name]
    return f".. data:: {name}\n\n" + textwrap.indent("\n".join(written), "   ")


def _home(name: str, value: Any) -> str:
    """The module that a public name is imported from."""
    if callable(value):
        return inspect.unwrap(value).__module__
    return next(
        module
        for module, loaded in sys.modules.items()
        if module.startswith("wae_rnf_jax.") and getattr(loaded, name, None) is value
    )


def is_left_out(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leaves out the fields of named tuples, which the docstring of the class describes."""
    return True if isinstance(obj, type(wae_rnf_jax.Flow.forward)) else None


def as_restructured_text(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Keeps the bars of |x| and the star of x* from being marks, where they are prose."""
    code = False
    for k, line in enumerate(lines):
        code = line.lstrip().startswith(">>>") or (code and bool(line))
        if not code:
            parts = line.split("`")
            parts[::2] = [re.sub(r"(?<!\\)([*|])", r"\\\1", part) for part in parts[::2]]
            lines[k] = "`".join(parts)


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Makes the first page the one that a folder of pages is entered by."""
    if error is None:
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Connects the functions above."""
    app.connect("builder-inited", write_reference)
    app.connect("source-read", with_contents)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("build-finished", write_index)
