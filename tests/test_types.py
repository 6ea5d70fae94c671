"""Types of what other code imports: complete, right by a checker, and seen by those who import."""

import inspect
import subprocess
import sys
import tomllib

import pytest
from command_runs import ROOT

import wae_rnf_jax

USE = """
import jax
import wae_rnf_jax as wr

def loss(mean: jax.Array, log_var: jax.Array, weight: float) -> jax.Array:
    return weight * wr.gaussian_kl(mean, log_var).mean()

run: wr.Run = wr.load_run("runs/vae")
sentences: list[str] = run.sample(3)
flow: wr.Flow = wr.FLOWS["planar"]
length: str = wr.slerp(jax.numpy.ones(2), jax.numpy.ones(2), share=jax.numpy.array(0.5))
wr.gaussian_kl("mean", log_variance=1)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> tuple[list[str], list[str]]:
    """What a checker finds in the library, and in a program that imports it."""
    program = tmp_path_factory.mktemp("types") / "use.py"
    program.write_text(USE)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    command = [sys.executable, "-m", "mypy", "--no-color-output", *settings["files"], str(program)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    *lines, last = checked.stdout.splitlines()
    assert last.startswith("Found"), checked.stdout + checked.stderr
    ours = [line for line in lines if program.name not in line.partition(":")[0]]
    theirs = [line.partition(" error: ")[2] for line in lines if line not in ours]
    return ours, [line for line in theirs if line]


def test_a_checker_finds_nothing(found):
    assert not found[0]


def test_a_program_that_imports_the_library_is_checked_against_it(found):
    wrong = found[1]
    assert len(wrong) == 3, wrong
    assert 'expression has type "Array", variable has type "str"' in wrong[0]
    assert 'Unexpected keyword argument "log_variance" for "gaussian_kl"' in wrong[1]
    assert 'has incompatible type "str"; expected "Array"' in wrong[2]


def test_every_public_function_names_the_types_of_all_it_takes_and_returns():
    bare = []
    for name in wae_rnf_jax.__all__:
        value = getattr(wae_rnf_jax, name)
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            given = [*signature.parameters.values()]
            if any(p.annotation is p.empty for p in given) or signature.return_annotation is (
                inspect.Signature.empty
            ):
                bare.append(name)
    assert not bare
