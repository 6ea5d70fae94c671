"""The `wae-rnf` command line: what it says to bad input, and its help."""

import importlib
import os

import pytest
from command_runs import ROOT

from wae_rnf_jax import cli
from wae_rnf_jax.commands import COMMANDS
from wae_rnf_jax.functional.objectives import OBJECTIVES
from wae_rnf_jax.runs.workdir import DECIDED_BY_VALIDATION
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.state import build_recipe

VAE = "--config={root}/configs/grammar/vae.py"
BAD = {
    "no command": ([], "COMMAND"),
    "unknown command": (["trian"], "'trian': it must be one of prepare, train"),
    "unknown flag": (["sample", "--wordkir=x"], "wordkir"),
    "stray argument": (["sample", "x"], "unexpected argument 'x'"),
    "no workdir": (["sample"], "--workdir is missing"),
    "not a run": (["evaluate", "--workdir={tmp}"], "holds no run (no config.json)"),
    "no config": (["train", "--workdir={tmp}/new"], "--config is missing"),
    "keys without a config": (["train", "--config.train.seed=1"], "--config is missing"),
    "missing config file": (["train", "--config={tmp}/none.py"], "none.py"),
    "unknown key": (["train", VAE, "--config.train.epochs=3"], "epochs"),
    "value of another type": (["train", VAE, "--config.train.batch_size=few"], "'few'"),
    "value out of range": (
        ["train", VAE, "--config.model.dropout=1.5"],
        "--config.model.dropout is 1.5: it must be at least 0 and below 1",
    ),
    "missing folder": (
        ["prepare", VAE, "--config.data.source=text", "--config.data.path={tmp}/nowhere"],
        "nowhere",
    ),
    "zero samples": (["evaluate", "--workdir={tmp}", "--num_samples=0"], "num_samples"),
}
MISTYPED = {
    "command": (["trian"], "did you mean train?"),
    "flag": (["sample", "--wordkir=x"], "unknown flag --wordkir; did you mean --workdir?"),
    "flag without a value": (["compare", "--publishd"], "did you mean --published?"),
    "config": (["train", "--confg=x.py"], "unknown flag --confg; did you mean --config?"),
    "key without its sections": (
        ["train", VAE, "--epochs=3"],
        "unknown flag --epochs; did you mean --config.train.num_epochs?",
    ),
    "key of two sections": (
        ["train", VAE, "--seed=1"],
        "did you mean --config.data.seed or --config.train.seed?",
    ),
    "key": (
        ["train", VAE, "--config.train.batchsize=3"],
        "--config.train.batchsize: {root}/configs/grammar/vae.py has no such key; did you mean "
        "--config.train.batch_size?",
    ),
    "key and value apart": (
        ["train", VAE, "--config.train.batchsize", "3"],
        "did you mean --config.train.batch_size?",
    ),
    "section": (["prepare", VAE, "--config.trian.seed=3"], "did you mean --config.train.seed?"),
    "key without its section": (
        ["prepare", VAE, "--config.batch_size=3"],
        "did you mean --config.train.batch_size?",
    ),
    "negated key": (
        ["train", VAE, "--noconfig.model.tied_outputs"],
        "did you mean --config.model.tied_output?",
    ),
    "key of another system": (
        ["train", VAE, "--config.objective.rnf_weight=1"],
        "--config.objective.rnf_weight: {root}/configs/grammar/vae.py has no such key",
    ),
}


def refused(arguments, tmp_path, capsys):
    places = {"tmp": tmp_path, "root": ROOT}
    assert cli.main([a.format(**places) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message, tmp_path, capsys):
    captured = refused(arguments, tmp_path, capsys)
    assert message in captured.err + captured.out


@pytest.mark.parametrize("arguments, message", MISTYPED.values(), ids=MISTYPED)
def test_the_nearest_name_is_named(arguments, message, tmp_path, capsys):
    error = refused(arguments, tmp_path, capsys).err
    assert message.format(root=ROOT) in error
    assert len(error.splitlines()) == 1


def test_nothing_is_suggested_where_nothing_is_near(tmp_path, capsys):
    for arguments in (["qqqq"], ["sample", "--zzzz=1"], ["train", VAE, "--name=of_many_sections"]):
        assert "did you mean" not in refused(arguments, tmp_path, capsys).err


@pytest.mark.parametrize(
    "text, message",
    [
        ("def get_config(:\n", "cannot be loaded: SyntaxError"),
        ("import no_such_module\n", "cannot be loaded: ModuleNotFoundError"),
        ("def get_config():\n    return {}['x']\n", "cannot be loaded: KeyError: 'x'"),
        ("x = 1\n", "must define get_config()"),
    ],
)
def test_a_broken_config_file_is_refused(text, message, tmp_path, capsys):
    (tmp_path / "broken.py").write_text(text)
    error = refused(["prepare", "--config={tmp}/broken.py"], tmp_path, capsys).err
    assert f"--config: {tmp_path}/broken.py {message}" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_utf_8_is_refused(command, tmp_path, capsys):
    name = f"{tmp_path}/a\udcffb"
    error = refused([command, f"--workdir={name}"], tmp_path, capsys).err
    named = f"wae-rnf: --workdir={tmp_path}/a\\xffb is not valid UTF-8"
    assert error == f"{named}: give names and text in UTF-8\n"
    assert not os.path.exists(name)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_nul_is_refused(command, tmp_path, capsys):
    error = refused([command, f"--workdir={tmp_path}/a\0b"], tmp_path, capsys).err
    named = f"wae-rnf: '--workdir={tmp_path}/a\\x00b' contains a NUL character"
    assert error == f"{named}: remove it\n"


def test_a_config_file_may_have_any_name(tmp_path):
    path = tmp_path / "a:b c.py"
    path.write_text((ROOT / "configs/grammar/lm.py").read_text())
    values = cli.parsed_flags("prepare", [f"--config={path}", "--config.data.seed=7"])
    assert values["config"].value.data.seed == 7


def test_help_lists_commands_and_flags(capsys):
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(f"  {name} " in overview for name in COMMANDS)
    assert all(f"  {example}\n" in overview for example in cli.EXAMPLES)
    assert cli.main(["evaluate", "--help"]) == 0
    assert "--num_samples" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_shows_its_examples(name, capsys):
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert COMMANDS[name].summary in out
    assert all(f"  {example}\n" in out for example in COMMANDS[name].examples)
    assert ("--config.KEY=VALUE" in out) == COMMANDS[name].takes_config


def test_every_config_file_is_accepted():
    files = sorted((ROOT / "configs").glob("*/*.py"))
    systems = set(OBJECTIVES) - {"wae_rnf_pullback"} | {"wae_nf", "wae_rnf_fisher", "wae_rnf_state"}
    systems |= {"vmf", "wae_vmf", "bn_vae", "bilstm", "dilated_cnn", "transformer"}  # by parts
    systems |= {"cyclical", "semi_amortized", "lagging", "free_bits", "wae_rnf_pretrained"}
    for corpus, more in (("grammar", set()), ("ptb", {"lm_best", "wae_rnf_best"})):
        assert {f.stem for f in files if f.parent.name == corpus} == systems | more | {"base"}
    for file in files:
        module = importlib.import_module(f"configs.{file.parent.name}.{file.stem}")
        config = module.get_config()
        check_config(config)
        recipe = build_recipe(config, 50, steps_per_epoch=10, axis_name=None)
        acts = recipe.procedure.event is not None
        assert acts == (config.procedure.name in DECIDED_BY_VALIDATION)
        if file.stem != "base":
            assert config.system == file.stem
            assert f"--config=configs/{file.parent.name}/{file.stem}.py" in module.__doc__
