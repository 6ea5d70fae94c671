"""Types of what other code imports: complete, right by a checker, and seen by those who import."""

import inspect
import subprocess
import sys

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


def mypy(*arguments):
    command = [sys.executable, "-m", "mypy", "--no-color-output", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_checker_finds_nothing():
    checked = mypy()
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_program_that_imports_the_library_is_checked_against_it(tmp_path):
    (tmp_path / "use.py").write_text(USE)
    checked = mypy(tmp_path / "use.py")
    lines = [line.partition(" error: ")[2] for line in checked.stdout.splitlines()[:-1]]
    wrong = [line for line in lines if line]
    assert len(wrong) == 3, checked.stdout
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
