"""The rules of the layout: who may import whom, where a name may stand, how long things grow.

Each rule is a function from a parsed file to its offences, `(line, message)`. A rule is tested
twice: it must find nothing in the tree, and it must find the offence in a planted snippet.
"""

import ast
import inspect
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

import wae_rnf_jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "wae_rnf_jax"

LIGHT = ("errors", "rules", "choices", "extras")  # top-level modules that load quickly
TRAINING = {
    *("functional", *LIGHT, "config_files", "storage", "models", "data", "jobs", "runs"),
    "training",
}
# What the modules of each part of the package may import from the package.
ALLOWED_IMPORTS = {
    "": {"functional", "trained"},  # the package's __init__
    "errors": set(),
    "rules": set(),
    "choices": set(),
    "extras": {"errors"},
    "config_files": {"errors"},
    "storage": {"errors", "storage"},
    "functional": {"functional", "rules"},  # which annotate the objectives' arguments
    "data": {"functional", "errors", "storage", "data"},
    "models": {"functional", *LIGHT, "models"},
    "jobs": {"errors", "data", "jobs"},
    "runs": {"functional", *LIGHT, "storage", "models", "data", "jobs", "runs"},
    "training": TRAINING,
    "evaluation": {*TRAINING, "evaluation"},
    "trained": {"errors", "models", "data", "runs", "evaluation"},
    "commands": {*TRAINING - {"functional", "models"}, "evaluation", "trained", "commands"},
    "cli": {"errors", "config_files", "jobs", "commands"},
    "__main__": {"cli"},
}
# Slow to import, or absent from some installations: imported inside the function that needs them.
IMPORTED_WHERE_USED = {
    *("array_record", "grain", "matplotlib", "orbax", "pyarrow", "regex", "sacrebleu"),
    *("mlflow", "safetensors", "sklearn", "tensorflow_datasets", "tokenizers", "wandb"),
}
LIGHT_MATHEMATICS = {"chex", "jax", "numpy", PACKAGE}
# The command line reads its flags and shows its help without these.
LIGHT_IMPORTS = {"absl", "wae_rnf_jax"}
LIGHT_PARTS = {*LIGHT, "commands"}
NEVER_IMPORTED = {"clu", "tensorflow", "torch"}
CONFIG_FILES = {"cli.py", "training/config_check.py", "training/loop.py", "training/state.py"}
MAX_FILE_LINES = 350
# Longer for a reason: one class whose parts share its state, or one interface and all that has it.
MAY_BE_LONGER = {
    "wae_rnf_jax/functional/distributions.py",
    "wae_rnf_jax/models/autoencoder.py",
    "wae_rnf_jax/training/loop.py",
}
MAX_FUNCTION_LINES = 80


class Offence(NamedTuple):
    line: int
    message: str


def _imported_modules(node: ast.AST, relative: str) -> list[str]:
    """Absolute dotted names that an import statement of the file may load, most specific first."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = [PACKAGE, *pathlib.PurePath(relative).parts][: -node.level]
        base = ".".join([*package, *([base] if base else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _part(relative: str) -> str:
    """The part of the package that a file belongs to: its folder, or a top-level module's name."""
    path = pathlib.PurePath(relative)
    if len(path.parts) > 1:
        return path.parts[0]
    return "" if path.stem == "__init__" else path.stem


def _identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that the code uses, imports or reaches as an attribute, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                modules.append(node.module or "")
            for module in modules:
                for name in module.split("."):
                    yield node.lineno, name


def import_order(tree: ast.Module, relative: str) -> list[Offence]:
    part = _part(relative)
    offences = []
    for node in ast.walk(tree):
        for module in _imported_modules(node, relative):
            names = module.split(".")
            if names[0] != PACKAGE:
                continue
            imported = names[1] if len(names) > 1 else ""
            if imported not in ALLOWED_IMPORTS.get(part, set()):
                offences.append(Offence(node.lineno, f"{part or PACKAGE} may not import {module}"))
    return offences


def heavy_imports(tree: ast.Module, relative: str) -> list[Offence]:
    del relative
    offences = []
    for node in ast.walk(tree):
        for module in _imported_modules(node, ""):
            name = module.split(".")[0]
            if name in NEVER_IMPORTED:
                offences.append(Offence(node.lineno, f"{name} is not among the requirements"))
            if name in IMPORTED_WHERE_USED and node in tree.body:
                offences.append(Offence(node.lineno, f"import {name} inside the function using it"))
    return offences


def light_mathematics(tree: ast.Module, relative: str) -> list[Offence]:
    """The pure functions stand on JAX, chex and NumPy; two libraries serve where they are called.

    The geodesic takes L-BFGS from optax, and its splines' coefficients, which are constants, from
    SciPy. Its line search is its own: a backtracking step is what a trial's value says, NaN
    included, with the gradient that comes with it, and past a saddle it leaves optax's direction.
    """
    if _part(relative) != "functional":
        return []
    wrong = [
        Offence(node.lineno, "wrong arrays are AssertionErrors, wrong values ValueErrors")
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and "TypeError" in ast.unparse(node)
    ]
    served = {"optax", "scipy"} if relative == "functional/curves.py" else set()
    return wrong + [
        Offence(node.lineno, f"the pure functions may not import {module}")
        for node in ast.walk(tree)
        for module in _imported_modules(node, relative)
        if (name := module.split(".")[0]) not in LIGHT_MATHEMATICS | sys.stdlib_module_names
        and (name not in served or node in tree.body)
    ]


def quick_start(tree: ast.Module, relative: str) -> list[Offence]:
    """A command imports, at its top, the standard library, the flags and its neighbors alone."""
    if _part(relative) != "commands":
        return []
    return [
        Offence(node.lineno, f"import {module} inside the function using it")
        for node in tree.body
        for module in _imported_modules(node, relative)
        if (names := module.split("."))[0] not in LIGHT_IMPORTS | sys.stdlib_module_names
        or (names[0] == PACKAGE and names[1] not in LIGHT_PARTS)
    ]


def config_stops_early(tree: ast.Module, relative: str) -> list[Offence]:
    if relative in CONFIG_FILES:
        return []
    return [
        Offence(line, f"{name} may be named only in {', '.join(sorted(CONFIG_FILES))}")
        for line, name in _identifiers(tree)
        if name in ("ConfigDict", "FrozenConfigDict", "ml_collections", "config_dict")
    ]


def one_mapping_file(tree: ast.Module, relative: str) -> list[Offence]:
    if relative == "training/parallel.py":
        return []
    return [
        Offence(line, f"{name} may be named only in training/parallel.py")
        for line, name in _identifiers(tree)
        if name in ("pmap", "shard_map")
    ]


def one_generator(tree: ast.Module, relative: str) -> list[Offence]:
    """A seed's key is of one generator, whatever the environment says."""
    if relative == "functional/_keys.py":
        return []
    return [
        Offence(node.lineno, f"{name} is for functional/_keys.py: take random_key or key_of_data")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (name := ast.unparse(node))
        in ("jax.random.key", "jax.random.PRNGKey", "jax.random.wrap_key_data")
    ]


def docstring_sections(tree: ast.Module, relative: str) -> list[Offence]:
    """What stands in a section of a docstring is indented by two."""
    del relative
    offences = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        sections = re.finditer(
            r"^(?:Args|Attributes|Raises|Returns|Yields):\n( +)",
            ast.get_docstring(node) or "",
            re.M,
        )
        if any(section[1] != "  " for section in sections):
            line = node.body[0].lineno
            offences.append(Offence(line, "sections of docstrings are indented by two"))
    return offences


def no_hidden_defaults(tree: ast.Module, relative: str) -> list[Offence]:
    """A default belongs in configs/default.py: no `config.get(key, …)`, no three-way getattr."""
    del relative
    offences = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        owner = None
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            owner = node.func.value
        elif isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 3:
            owner = node.args[0]
        if owner is not None and re.search(r"\b(config|cfg)\b", ast.unparse(owner)):
            offences.append(Offence(node.lineno, f"hidden default: {ast.unparse(node)}"))
    return offences


def short_functions(tree: ast.Module, relative: str) -> list[Offence]:
    del relative
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [
        Offence(node.lineno, f"{node.name} has {size} lines, at most {MAX_FUNCTION_LINES}")
        for node in functions
        if (size := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


RULES = [
    import_order,
    heavy_imports,
    light_mathematics,
    quick_start,
    config_stops_early,
    one_mapping_file,
    one_generator,
    docstring_sections,
    no_hidden_defaults,
    short_functions,
]

# (rule, file it would stand in, code, line of the offence)
PLANTED = [
    (import_order, "functional/mmd.py", "from wae_rnf_jax.errors import InputError", 1),
    (import_order, "functional/mmd.py", "from ..models import encoder", 1),
    (import_order, "storage/files.py", "from wae_rnf_jax.data import text", 1),
    (import_order, "data/corpora.py", "import wae_rnf_jax.models.encoder", 1),
    (import_order, "models/encoder.py", "def f():\n    from wae_rnf_jax.training import step", 2),
    (import_order, "training/step.py", "from wae_rnf_jax import evaluation", 1),
    (import_order, "evaluation/report.py", "from wae_rnf_jax.cli import main", 1),
    (import_order, "evaluation/report.py", "from wae_rnf_jax.commands import options", 1),
    (import_order, "evaluation/report.py", "from wae_rnf_jax.trained import Run", 1),
    (import_order, "trained.py", "from wae_rnf_jax.commands import options", 1),
    (import_order, "commands/score.py", "from wae_rnf_jax.cli import main", 1),
    (import_order, "cli.py", "from wae_rnf_jax.training import loop", 1),
    (import_order, "stray.py", "from wae_rnf_jax import functional", 1),
    (heavy_imports, "data/batches.py", "import grain.python as grain", 1),
    (heavy_imports, "data/corpora.py", "def f():\n    import tensorflow as tf", 2),
    (light_mathematics, "functional/mmd.py", "def f():\n    raise TypeError('x')", 2),
    (light_mathematics, "functional/mmd.py", "def f():\n    import optax", 2),
    (light_mathematics, "functional/curves.py", "import optax", 1),
    (light_mathematics, "functional/curves.py", "def f():\n    from flax import linen", 2),
    (quick_start, "commands/score.py", "import numpy as np", 1),
    (quick_start, "commands/score.py", "import sys\nfrom wae_rnf_jax.data import text", 2),
    (config_stops_early, "training/step.py", "from ml_collections import ConfigDict", 1),
    (config_stops_early, "models/encoder.py", "def f(c: ml_collections.ConfigDict): ...", 1),
    (one_mapping_file, "training/step.py", "import jax\nf = jax.pmap(g)", 2),
    (one_mapping_file, "training/loop.py", "import jax\nf = jax.shard_map(g)", 2),
    (one_mapping_file, "functional/mmd.py", "from jax import pmap", 1),
    (one_generator, "training/loop.py", "import jax\nkey = jax.random.key(0)", 2),
    (docstring_sections, "cli.py", 'def f():\n    """F.\n\n    Args:\n        x: y\n    """', 2),
    (no_hidden_defaults, "cli.py", "a = 1\nx = config.train.get('seed', 0)", 2),
    (no_hidden_defaults, "cli.py", "x = getattr(run.config, 'seed', 0)", 1),
    (short_functions, "cli.py", "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES, 1),
]


def _package_files() -> list[pathlib.Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def _report(offences: list[tuple[pathlib.Path, Offence]]) -> str:
    return "\n".join(f"{path.relative_to(ROOT)}:{o.line}: {o.message}" for path, o in offences)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_package_keeps_the_rule(rule):
    files = _package_files()
    assert len(files) > 20, "the package's files were not found"
    offences = [
        (path, offence)
        for path in files
        for offence in rule(
            ast.parse(path.read_text()), path.relative_to(ROOT / PACKAGE).as_posix()
        )
    ]
    assert not offences, _report(offences)


@pytest.mark.parametrize("rule, relative, code, line", PLANTED)
def test_rule_finds_a_planted_offence(rule, relative, code, line):
    assert line in [offence.line for offence in rule(ast.parse(code), relative)]


def test_every_part_of_the_package_has_its_place_in_the_import_order():
    parts = {_part(path.relative_to(ROOT / PACKAGE).as_posix()) for path in _package_files()}
    assert parts <= set(ALLOWED_IMPORTS)


def test_files_are_short():
    folders = (PACKAGE, "configs", "tests", "benchmarks")
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {name for name, n in lengths.items() if n > MAX_FILE_LINES and PACKAGE in name}
    assert long == MAY_BE_LONGER, f"more than {MAX_FILE_LINES} lines, or no longer so"
    assert max(lengths.values()) <= 400


def _public_functions() -> list[str]:
    return [name for name in wae_rnf_jax.__all__ if inspect.isfunction(getattr(wae_rnf_jax, name))]


def test_public_names_are_nouns():
    verbs = [name for name in wae_rnf_jax.__all__ if re.match(r"(get|compute|calculate)_", name)]
    assert _public_functions()
    assert not verbs, f"names are noun phrases: {verbs}"


@pytest.mark.parametrize("name", _public_functions())
def test_public_function_documents_arguments_and_result(name):
    function = getattr(wae_rnf_jax, name)
    where = f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}: {name}"
    doc = inspect.getdoc(function) or ""
    assert re.search(r"^Returns:$", doc, re.MULTILINE), f"{where}: no Returns section"
    arguments = re.search(r"^Args:\n((?:[ ].*\n|\n)+)", doc, re.MULTILINE)
    assert arguments, f"{where}: no Args section"
    undocumented = [
        parameter
        for parameter in inspect.signature(function).parameters
        if not re.search(rf"^ +\*{{0,2}}{parameter}\b.*:", arguments[1], re.MULTILINE)
    ]
    assert not undocumented, f"{where}: arguments without a description: {undocumented}"


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_finds_nothing(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_pre_commit_pins_the_ruff_of_the_requirements():
    requirements = (ROOT / "requirements.txt").read_text()
    pinned = re.search(r"^ruff==(\S+)", requirements, re.MULTILINE)[1]
    hooks = re.findall(r"ruff==([\w.]+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks
    assert set(hooks) == {pinned}
