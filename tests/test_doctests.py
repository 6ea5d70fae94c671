"""Runs every doctest of the package, and the README's Python, as part of plain pytest."""

import doctest
import importlib
import inspect
import pathlib
import re

import pytest

import wae_rnf_jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _modules_with_examples() -> list[str]:
    # Found in the text, so that collecting the tests does not import the whole package.
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "wae_rnf_jax").rglob("*.py"))
        if ">>> " in path.read_text()
    ]


@pytest.fixture
def runs_at_hand(request, monkeypatch):
    """What the examples of trained models load lies in the working directory."""
    monkeypatch.chdir(request.getfixturevalue("checkout_with_run"))


@pytest.mark.parametrize("name", _modules_with_examples())
def test_examples_of_a_module_run(name, request):
    if name == "wae_rnf_jax.trained":
        request.getfixturevalue("runs_at_hand")
    failed, attempted = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert attempted > 0, f"{name}: its examples stand outside any docstring"
    assert failed == 0, f"{name}: {failed} of {attempted} examples failed, see above"


@pytest.mark.parametrize(
    "name",
    [name for name in wae_rnf_jax.__all__ if inspect.isfunction(getattr(wae_rnf_jax, name))],
)
def test_public_function_has_an_example(name):
    function = getattr(wae_rnf_jax, name)
    examples = [
        example
        for found in doctest.DocTestFinder(recurse=False).find(function, name)
        for example in found.examples
    ]
    where = f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}"
    assert examples, f"{where}: {name} has no doctest"
    assert any(name in example.source for example in examples), f"{where}: {name} is not called"


def test_examples_of_the_readme_run():
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```pycon\n(.*?)```", readme, re.DOTALL)
    assert blocks, "README.md has no pycon block"
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README", "README.md", 0)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    failed, attempted = runner.run(examples)
    assert attempted > 0
    assert failed == 0, f"README.md: {failed} of {attempted} examples failed, see above"
