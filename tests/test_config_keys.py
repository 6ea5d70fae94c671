"""Every key of configs/default.py is read somewhere in the package.

A key is read by itself, as in `config.train.seed`, or `settings.seed` after `settings =
config.train`; or its whole section is handed to a function, and the function reads its parameter
of that name. The name of a `Choice` is read where the section is made one. What only checks the
configuration does not count.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from configs import default
from wae_rnf_jax.data import corpora, sources, vocabulary_plan
from wae_rnf_jax.functional import objectives, schedules
from wae_rnf_jax.models import autoencoder, posteriors
from wae_rnf_jax.models.decoders.lstm import LSTMDecoder
from wae_rnf_jax.models.encoders.lstm import LSTMEncoder

PACKAGE = Path(__file__).parent.parent / "wae_rnf_jax"
# What a section is handed to as keyword arguments, in the system of the defaults.
RECEIVERS = {
    "data": (
        corpora.load_corpus,
        vocabulary_plan.vocabulary_plan,
        *sources.SOURCES.values(),
    ),
    "model": autoencoder.TextAutoencoder,
    "encoder": LSTMEncoder,
    "posterior": posteriors.GaussianPosterior,
    "decoder": LSTMDecoder,
    "objective": objectives.wae_rnf,
    "kl_weight": schedules.linear_annealing,
}


def _chain(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """The dotted name that an expression reads, as in config.train.seed or config["train"]."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner, name = _chain(node.value, aliases), node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        owner, name = _chain(node.value, aliases), str(node.slice.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = _chain(node.func.value, aliases)
        if node.func.attr == "to_dict":
            return owner
        if ast.unparse(node.func) == "Choice.of" and (section := _chain(node.args[0], aliases)):
            return f"{section}.name"
        if node.func.attr == "pop" and node.args and isinstance(node.args[0], ast.Constant):
            name = node.args[0].value
        else:
            return None
    else:
        return None
    return owner and f"{owner}.{name}"


def _aliases(function: ast.AST) -> dict[str, str]:
    """Names that a function gives to parts of the configuration: `a, b = config.a, config.b`."""
    found: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for name, of in pairs:
                chain = _chain(of, {})
                if isinstance(name, ast.Name) and chain and "config." in chain:
                    found[name.id] = chain
    return found


def chains(tree: ast.AST) -> Iterator[str]:
    """Every key that the functions of a file read by itself, without what stands before it."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.Lambda):
            continue
        if getattr(function, "name", "") == "check_config":
            continue
        aliases = _aliases(function)
        unused = {node.value for node in ast.walk(function) if isinstance(node, ast.Expr)}
        for node in ast.walk(function):
            stored = not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
            chain = None if stored or node in unused else _chain(node, aliases)
            if chain and "config." in chain:
                yield chain.rpartition("config.")[2]


def parameters_read(receiver: Callable) -> set[str]:
    """Parameters of a function, or fields of a module, that its own code reads."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(receiver)))
    nodes = [node for node in ast.walk(tree) if hasattr(node, "ctx")]
    loads = [node for node in nodes if isinstance(node.ctx, ast.Load)]
    if isinstance(receiver, type):
        names = {
            node.attr
            for node in loads
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
        }
    else:
        names = {node.id for node in loads if isinstance(node, ast.Name)}
    return names & set(inspect.signature(receiver).parameters)


@pytest.fixture(scope="module")
def read() -> set[str]:
    """All keys that are read."""
    keys = {
        chain for file in PACKAGE.rglob("*.py") for chain in chains(ast.parse(file.read_text()))
    }
    source = inspect.getsource(autoencoder.text_autoencoder)
    assert "Choice.of(config[name]) for name in CHOICES" in source
    keys |= {f"{section}.name" for section in autoencoder.CHOICES}
    for section, receivers in RECEIVERS.items():
        for receiver in receivers if isinstance(receivers, tuple) else (receivers,):
            keys |= {f"{section}.{name}" for name in parameters_read(receiver)}
    return keys


def _keys(section: dict, prefix: str = "") -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


KEYS = list(_keys(default.get_config().to_dict()))


@pytest.mark.parametrize("key", KEYS)
def test_key_is_read(key, read):
    assert key in read


def test_the_defaults_were_found():
    assert {"system", "data.source", "train.select", "model.flow"} <= set(KEYS)


@pytest.mark.parametrize(
    "code, expected",
    [
        ("def f(config):\n    return config.train.seed", "train.seed"),
        ("def f(run):\n    return run.config['train']['seed']", "train.seed"),
        ("def f(self):\n    s = self.config.train\n    return s.seed", "train.seed"),
        ("def f(self):\n    a, s = self.b, self.config.train\n    return s.seed", "train.seed"),
        ("def f(config):\n    config.train.seed = 1", None),
        ("RULES = {'train.seed': 1}", None),
        ("def f(config):\n    d = config.train.to_dict()\n    return d.pop('seed')", "train.seed"),
        ("def f(config):\n    d = config.train.to_dict()\n    d.pop('seed')", None),
        ("f = lambda config: config.train.seed", "train.seed"),
        ("def check_config(config):\n    return config.train.seed", None),
        ("def f(other):\n    return other.seed", None),
    ],
)
def test_reading_is_told_from_naming(code, expected):
    found = {chain for chain in chains(ast.parse(code)) if chain.endswith("seed")}
    assert found == ({expected} if expected else set())


def test_the_name_of_a_choice_is_read_where_it_is_made():
    tree = ast.parse("def f(config):\n    return Choice.of(config.procedure)")
    assert "procedure.name" in set(chains(tree))


def test_a_parameter_that_is_not_read_is_found():
    def function(*, used: int, unused: int) -> int:
        return used + 1

    assert parameters_read(function) == {"used"}
