"""Drawn values of flags and configuration keys: each is taken, or refused in one sentence."""

import contextlib
import io

import jax
import pytest
from absl import flags as absl_flags
from command_runs import ROOT, train_arguments, write_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs import default
from wae_rnf_jax import cli
from wae_rnf_jax.commands import COMMANDS
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.versions import config_leaves
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.state import build_recipe, initial_state

pytestmark = pytest.mark.fuzz
bounded = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
ODD = st.sampled_from(
    [
        *("", " ", "0", "-0", "-1", "1", "2.5", "1e3", "1e-38", "1e-320", "1e400", "nan", "-inf"),
        *("none", "None", "true", "False", "1_000", "0x10", "٣", "9" * 25, "$HOME", "$NO_SUCH"),
        *("~", "~nobody/x", "gs://", "gs://b/c", "(1,2,3)", "(1,2", "[]", "a,b", "a=b", "\\", "*"),
        *("adam", "text", "tfds", "lstm", "vmf", "wae", "planar", "linear", "leading", "-", "💥"),
    ]
)
VALUES = ODD | st.integers().map(str) | st.floats().map(str) | st.text(max_size=8)
KEYS = sorted(config_leaves(default.get_config().to_dict()))


def answer(arguments):
    """Exit code, standard output and standard error of a command, which may not raise."""
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(out):
        code = cli.main([str(argument) for argument in arguments])
    return code, out.getvalue(), said.getvalue()


def flag_names(name):
    values = cli._defined_flags(COMMANDS[name], [])
    return sorted(set(values) - set(absl_flags.FlagValues()) - {"config"})


@pytest.mark.parametrize("name", [name for name in COMMANDS if flag_names(name)])
@bounded
@given(data=st.data())
def test_values_of_flags(name, data):
    """No workdir is there, nor what trains: every command line is refused, in one sentence."""
    drawn = data.draw(st.dictionaries(st.sampled_from(flag_names(name)), VALUES, max_size=3))
    workdir = [] if "workdir" in drawn else ["--workdir=/nowhere/at/all"]
    config = ["--config=/nowhere.py"] if COMMANDS[name].takes_config else []
    has_workdir = "workdir" in flag_names(name)
    arguments = [f"--{flag}={value}" for flag, value in drawn.items()]
    code, _, said = answer([name, *config, *workdir * has_workdir, *arguments])
    assert code == 2
    assert len(said.splitlines()) == 1
    assert said.startswith("wae-rnf: ")


@pytest.mark.parametrize("system", ["vae", "wae_rnf", "lm", "wae_vmf"])
@bounded
@given(drawn=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_values_of_keys(system, drawn):
    """What is accepted describes a model."""
    arguments = [f"--config.{key}={value}" for key, value in drawn.items()]
    with contextlib.suppress(InputError):
        file = f"{ROOT}/configs/grammar/{system}.py"
        config = cli.parsed_flags("train", [f"--config={file}", *arguments])["config"].value
        check_config(config)
        recipe = build_recipe(config, 11, steps_per_epoch=3, axis_name=None)
        jax.eval_shape(lambda key: initial_state(config, recipe, key), jax.random.key(0))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    assert answer(train_arguments(write_text(folder), folder / "run"))[0] == 0
    return folder / "run"


SIZES = st.floats() | st.floats(0, 1) | st.sampled_from([1e-38, 1e-46, 1e30, 5.0])


@settings(bounded, max_examples=25)
@given(
    strategy=st.sampled_from(["greedy", "sample", "beam"]),
    drawn=st.dictionaries(st.sampled_from(["temperature", "top_p", "length_penalty"]), SIZES),
    counts=st.fixed_dictionaries(
        {"num": st.integers(-1, 3), "max_length": st.sampled_from([0, 5])}
    ),
)
def test_numbers_that_decode(workdir, strategy, drawn, counts):
    """So many sentences are written, or the value is refused."""
    given_flags = [f"--{flag}={value}" for flag, value in {**drawn, **counts}.items()]
    code, out, said = answer(
        ["sample", f"--workdir={workdir}", f"--strategy={strategy}", *given_flags]
    )
    assert code in (0, 2)
    assert "Traceback" not in said
    if code == 0:
        assert len(out.splitlines()) == counts["num"]
    else:
        assert len(said.splitlines()) == 1
