"""Which values a run may be resumed with."""

import json

import pytest

from configs import default
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.workdir import fingerprint, open_workdir, read_config, write_json


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return load_corpus("grammar", cache_dir=str(cache), num_sentences=(20, 5, 5))


def resolved(corpus, **changes):
    config = default.get_config()
    config.update_from_flattened_dict(changes)
    content = json.loads(config.to_json_best_effort())
    return {**content, "data_fingerprint": corpus.fingerprint}


@pytest.fixture
def workdir(tmp_path, corpus):
    open_workdir(tmp_path, resolved(corpus), corpus)
    return tmp_path


HARMLESS = {
    "data.cache_dir": "/elsewhere",
    "data.num_workers": 3,
    "data.path": "/moved",
    "data.vocabulary": "/moved/vocabulary.txt",
    "train.checkpoint_every": 7,
    "train.log_every": 3,
}
OTHERS = {
    "data.num_buckets": 3,
    "model.dropout": 0.1,
    "model.cross_entropy_block": 64,
    "kl_weight.length": 5,
    "train.seed": 1,
    "train.num_epochs": 99,
    "train.eval_every": 10,
    "train.patience": 2,
    "train.select": "last",
}


def test_values_that_change_no_number_are_taken_over(workdir, corpus):
    before = read_config(workdir)
    open_workdir(workdir, resolved(corpus, **HARMLESS), corpus)
    assert read_config(workdir) == resolved(corpus, **HARMLESS) != before
    assert fingerprint(read_config(workdir)) == fingerprint(before)


def test_what_a_run_does_not_read_may_differ_and_stays_what_it_was(workdir, corpus):
    before = read_config(workdir)
    unread = {"kl_weight.length", "data.path", "model.dropout"}
    kept = open_workdir(
        workdir,
        resolved(corpus, **{"kl_weight.length": 5, "data.path": "/moved", "train.log_every": 3}),
        corpus,
        is_read=lambda key: key not in unread,
    )
    assert kept == read_config(workdir)
    assert kept["kl_weight"] == before["kl_weight"]
    assert (kept["data"]["path"], kept["train"]["log_every"]) == ("", 3)
    assert fingerprint(kept) == fingerprint(before)
    with pytest.raises(InputError, match=r"\(train.seed is 0 there and 1 here\)"):
        open_workdir(
            workdir,
            resolved(corpus, **{"kl_weight.length": 5, "train.seed": 1}),
            corpus,
            is_read=lambda key: key not in unread,
        )


@pytest.mark.parametrize("key", OTHERS)
def test_another_value_is_refused_with_both_named(workdir, corpus, key):
    section, name = key.split(".")
    old = json.dumps(resolved(corpus)[section][name])
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(InputError) as refusal:
        open_workdir(workdir, resolved(corpus, **{key: OTHERS[key], **HARMLESS}), corpus)
    message = str(refusal.value)
    assert f"({key} is {old} there and {json.dumps(OTHERS[key])} here): name another" in message
    assert (workdir / "config.json").read_bytes() == before


def test_every_refused_key_is_named_absent_ones_too(workdir, corpus):
    config = resolved(corpus, **{"train.seed": 5, "model.latent_dim": 8})
    config["model"]["new"] = True
    with pytest.raises(InputError) as refusal:
        open_workdir(workdir, config, corpus)
    wanted = "model.latent_dim is 32 there and 8 here; model.new is absent there and true here; "
    assert f"({wanted}train.seed is 0 there and 5 here)" in str(refusal.value)


def test_validations_may_change_where_they_decide_nothing(tmp_path, corpus):
    config = {"train.select": "last", "train.patience": 0}
    open_workdir(tmp_path, resolved(corpus, **config), corpus)
    config["train.eval_every"] = 10
    open_workdir(tmp_path, resolved(corpus, **config), corpus)
    assert read_config(tmp_path)["train"]["eval_every"] == 10


DECIDING = {
    "patience": {"train.patience": 3},
    "the best": {"train.select": "best"},
    "the learning rate": {"train.learning_rate_decay": "plateau"},
    "when an encoder has converged": {"procedure.name": "lagging"},
    "when a stage ends": {"procedure.name": "pretrained"},
}


@pytest.mark.parametrize("settings", DECIDING.values(), ids=DECIDING)
def test_validations_may_not_change_where_they_decide(tmp_path, corpus, settings):
    config = {"train.select": "last", **settings}
    open_workdir(tmp_path, resolved(corpus, **config), corpus)
    with pytest.raises(InputError, match=r"\(train.eval_every is 0 there and 10 here\)"):
        open_workdir(tmp_path, resolved(corpus, **config, **{"train.eval_every": 10}), corpus)


def test_the_fingerprint_is_of_what_checkpoints_depend_on(corpus):
    content = fingerprint(resolved(corpus))
    same = {"train.select": "last", "train.eval_every": 10}
    assert fingerprint(resolved(corpus, **same)) == content
    for key in OTHERS.keys() - same.keys():
        assert fingerprint(resolved(corpus, **{key: OTHERS[key]})) != content
    assert fingerprint({**resolved(corpus), "data_fingerprint": "0"}) != content


def test_what_a_killed_start_left_is_removed(tmp_path, corpus):
    left = tmp_path / ".preparing-abc"
    left.mkdir()
    (left / "vocabulary.txt").touch()
    (tmp_path / ".config.json.0123abcd.unfinished").touch()
    open_workdir(tmp_path, resolved(corpus), corpus)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "corpus"]


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"config.json cannot be written \(No such file"):
        write_json(tmp_path / "gone" / "config.json", {})
