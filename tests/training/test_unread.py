"""A setting that nothing in a run reads is refused, and names what would read it."""

import importlib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from configs import default, systems
from wae_rnf_jax import cli
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.versions import config_leaves
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.unread import READ_WHERE, check_unread, is_read

ROOT = Path(__file__).parents[2]
SHIPPED = [
    f"configs.{path.parent.name}.{path.stem}"
    for path in sorted((ROOT / "configs").glob("*/*.py"))
    if path.stem != "base"
]
# System, a setting that its runs do not read, and what would read it.
REFUSED = (
    ("vae", "data.path", "no_such_folder", "data.source is text or table or tfds"),
    ("vae", "data.text_field", "review", "data.source is table"),
    ("vae", "data.label_field", "stars", "data.source is table"),
    ("vae", "data.group_field", "user", "data.source is table"),
    ("vae", "data.fractions", (0.5, 0.3, 0.2), "data.source is text or table"),
    ("vae", "data.vocab_size", 4000, "data.tokenizer is bpe or unigram"),
    ("vae", "data.label", "leading", "data.source is text"),
    ("vae", "data.dataset", "lm1b", "data.source is tfds"),
    ("vae", "data.text_feature", "review", "data.source is tfds"),
    ("vae", "data.splits", ("train", "test", "test"), "data.source is tfds"),
    ("lm", "posterior.batch_norm", True, "model.latent_dim is above 0"),
    ("lm", "encoder.name", "bilstm", "model.latent_dim is above 0"),
    ("lm", "model.shared_embedding", False, "model.latent_dim is above 0"),
    ("lm", "model.encoder_word_dropout", 0.2, "model.latent_dim is above 0"),
    ("lm", "decoder.z_every_step", True, "model.latent_dim is above 0"),
    ("lm", "decoder.z_output", True, "model.latent_dim is above 0"),
    ("vae", "model.flow", "radial", "model.num_flow_steps is above 0"),
    ("lm", "kl_weight.maximum", 0.5, "objective.name is not lm"),
    ("lm", "kl_weight.schedule", "paper", "objective.name is not lm"),
    ("vae", "codebook.refresh_every", 7, "codebook.num_centers is above 0"),
    ("wae_nf", "codebook.floor", 0.1, "codebook.num_centers is above 0"),
    ("wae", "codebook.centers_file", "a.npy", "codebook.num_centers is above 0"),
    ("wae", "codebook.num_codes", 64, "codebook.num_centers is above 0"),
    ("wae_rnf_paper", "codebook.num_codes", 64, "codebook.refresh_every is above 0"),
    ("wae_rnf_paper", "codebook.warm_up", 3, "codebook.refresh_every is above 0"),
    ("wae_rnf_paper", "codebook.num_iterations", 3, "codebook.refresh_every is above 0"),
    ("wae_rnf_attract", "codebook.floor", 0.1, "objective.name is wae_rnf"),
    ("wae_rnf", "codebook.centers_file", "a.npy", "codebook.refresh_every is 0"),
    ("vae", "train.mmd_group", 4, "objective.name is not lm or vae"),
    ("vae", "train.momentum", 0.9, "train.optimizer is sgd"),
    ("vae", "train.weight_decay", 0.1, "train.optimizer is adamw"),
    ("vae", "train.plateau_factor", 0.1, "train.learning_rate_decay is plateau"),
    ("vae", "train.plateau_patience", 1, "train.learning_rate_decay is plateau"),
)


def with_value(config, key, value):
    section, _, name = key.partition(".")
    content = config.to_dict()
    content[section][name] = value
    return ConfigDict(content)


@pytest.mark.parametrize("system, key, value, where", REFUSED)
def test_what_nothing_reads_is_refused(system, key, value, where):
    config = getattr(systems, system)(default.get_config())
    check_config(config)
    with pytest.raises(InputError) as caught:
        check_config(with_value(config, key, value))
    other = where.partition(" is ")[0]
    now = config_leaves(config.to_dict())[other]
    assert str(caught.value) == (
        f"--config.{key} is {value!r}, but nothing in this run reads it: it is read only "
        f"if {where}, and {other} is {now!r}"
    )


@pytest.mark.parametrize(
    "tokenizer, key, value, where",
    [
        ("bpe", "data.min_count", 2, "data.tokenizer is not bpe or unigram"),
        ("unigram", "data.max_size", 90, "data.tokenizer is not bpe or unigram"),
        ("bpe", "data.vocabulary", "words.txt", "data.tokenizer is not bpe or unigram"),
        ("own.json", "data.lower_case", True, "is whitespace or words or char or bpe or unigram"),
        ("own.json", "data.nfc", True, "is whitespace or words or char or bpe or unigram"),
    ],
)
def test_a_tokenizer_has_settings_of_its_own(tokenizer, key, value, where):
    config = with_value(default.get_config(), "data.tokenizer", tokenizer)
    check_config(config)
    with pytest.raises(InputError, match=where):
        check_config(with_value(config, key, value))


def test_settings_of_the_built_in_corpus_go_with_it_alone():
    config = default.get_config()
    config.data.update(source="tfds", path="/some/folder", dataset="lm1b")
    check_config(config)
    for key, value in (("data.seed", 1), ("data.num_sentences", (9, 9, 9))):
        with pytest.raises(InputError, match=r"it is read only if data.source is grammar"):
            check_config(with_value(config, key, value))


def test_the_command_refuses_it_from_the_command_line_and_from_an_own_file(tmp_path, capsys):
    own = tmp_path / "own.py"
    own.write_text(
        "from configs.grammar import vae\n\n\ndef get_config():\n    config = vae.get_config()\n"
        "    config.data.path = 'no_such_folder'\n    return config\n"
    )
    shipped = f"--config={ROOT}/configs/grammar/vae.py"
    for command in (
        ["train", shipped, "--config.data.path=no_such_folder", f"--workdir={tmp_path / 'run'}"],
        ["prepare", f"--config={own}"],
    ):
        assert cli.main(command) == 2
        assert capsys.readouterr().err == (
            "wae-rnf: --config.data.path is 'no_such_folder', but nothing in this run reads it: it "
            "is read only if data.source is text or table or tfds, and data.source is 'grammar'\n"
        )
    assert not (tmp_path / "run").exists()


def test_locked_dropout_is_read_where_there_is_dropout():
    config = default.get_config()
    config.model.locked_dropout = True
    check_config(config)
    config.model.dropout = 0.0
    with pytest.raises(InputError, match=r"it is read only if model.dropout is above 0"):
        check_config(config)


def test_every_row_of_the_table_is_tested():
    tested = {key for _, key, _, _ in REFUSED} | {
        *("data.seed", "data.num_sentences", "data.min_count", "data.max_size"),
        *("data.vocabulary", "data.lower_case", "data.nfc", "model.locked_dropout"),
    }
    for patterns, other, _ in READ_WHERE:
        assert other in config_leaves(default.get_config().to_dict())
        for pattern in patterns.split():
            assert any(fnmatch(key, pattern) for key in tested), pattern


def test_the_default_of_a_chosen_definition_is_one_too():
    config = systems.lm(default.get_config()).to_dict()
    config["encoder"]["num_layers"] = 2
    check_unread(config, {"encoder.num_layers": 2})
    for defaults in ({"encoder.num_layers": 1}, {}):
        with pytest.raises(InputError, match=r"encoder.num_layers is 2, but nothing in this run"):
            check_unread(config, defaults)


def test_a_list_in_place_of_a_tuple_is_no_other_value():
    config = with_value(default.get_config(), "data.splits", ["train", "validation", "test"])
    check_config(config)


@pytest.mark.parametrize("module", SHIPPED)
def test_shipped_configurations_set_only_what_is_read(module):
    config = importlib.import_module(module).get_config()
    check_config(config)
    defaults = config_leaves(default.get_config().to_dict())
    leaves = config_leaves(config.to_dict())
    assert not {
        key
        for key, value in leaves.items()
        if not is_read(key, config.to_dict()) and value != defaults.get(key, value)
    }
