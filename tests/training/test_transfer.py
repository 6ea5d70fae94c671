"""What a run takes over from another one's model."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.training.conftest import tiny_config
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.checkpoint import Checkpoints, Progress
from wae_rnf_jax.runs.workdir import fingerprint, open_workdir
from wae_rnf_jax.training.flags import Origin
from wae_rnf_jax.training.parallel import replicate
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.transfer import planned_transfer

NEW = Vocabulary.from_sentences(["cat zebra the the", "ant dog"])


def wae_config(**changes):
    """The tiny configuration with changes by key, those of the model without its section."""
    config = tiny_config()
    config.posterior.batch_norm = True
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        config[section or "model"][name] = value
    return config


def lm_config(**model):
    config = tiny_config(name="lm")
    config.model.update(**{"latent_dim": 0, "num_flow_steps": 0, **model})
    config.codebook.num_centers = 0
    return config


def recipe_of(config, vocabulary):
    return build_recipe(config, vocabulary.size, steps_per_epoch=5, axis_name=None)


def other_run(config, folder):
    """A workdir with one checkpoint of which no two numbers are alike; and its arrays."""
    text = folder / "text"
    text.mkdir()
    for name in ("train", "valid", "test"):
        (text / f"{name}.txt").write_text("the dog saw the cat\na cat slept\n")
    corpus = load_corpus("text", path=str(text), cache_dir=str(folder / "cache"))
    resolved = {**config.to_dict(), "data_fingerprint": corpus.fingerprint}
    workdir = folder / "other"
    workdir.mkdir()
    open_workdir(workdir, resolved, corpus)
    state = initial_state(config, recipe_of(config, corpus.vocabulary), jax.random.key(1))
    state = state.replace(params=distinct(state.params), batch_stats=distinct(state.batch_stats))
    checkpoints = Checkpoints(workdir, run=fingerprint(resolved))
    checkpoints.save(replicate(state.replace(step=7)), jax.random.key(0), Progress(), best=False)
    return workdir, flat(state), corpus.vocabulary


def distinct(tree):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), tree)


def flat(state):
    leaves = {**flatten_dict(state.params, sep="/"), **flatten_dict(state.batch_stats, sep="/")}
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


@pytest.fixture(scope="module")
def wae(tmp_path_factory):
    return other_run(wae_config(), tmp_path_factory.mktemp("wae"))


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return other_run(lm_config(), tmp_path_factory.mktemp("lm"))


def begun(config, workdir, *parts):
    """A new run's first state: as drawn, and with what was taken over; and what was."""
    recipe = recipe_of(config, NEW)
    transfer = planned_transfer(Origin(str(workdir), parts), recipe.model, NEW)
    drawn = initial_state(config, recipe, jax.random.key(2))
    return drawn, transfer.into(drawn, recipe.optimizer), transfer


def test_words_find_their_rows_by_name_and_new_ones_stay_as_drawn(wae):
    workdir, old, words = wae
    drawn, state, transfer = begun(wae_config(), workdir)
    found, fresh = flat(state), flat(drawn)
    ids = {word: number for number, word in enumerate(words.words)}
    for path, axis in (("embedding", 0), ("output_layer/kernel", 1), ("output_layer/bias", 0)):
        for number, word in enumerate(NEW.words):
            source = (fresh, number) if word in ("zebra", "ant") else (old, ids[word])
            expected = np.take(source[0][path], source[1], axis)
            np.testing.assert_array_equal(np.take(found[path], number, axis), expected)
    record = transfer.record()
    assert (record["vocab_size"], record["words_found"]) == (NEW.size, NEW.size - 2) == (9, 7)


def test_all_else_is_taken_as_it_is_and_the_optimizer_begins_anew(wae):
    workdir, old, _ = wae
    drawn, state, transfer = begun(wae_config(), workdir)
    found = flat(state)
    assert {"posterior/mean_norm/var", "flow_stack/steps/u", "encoder/lstm/bias"} <= found.keys()
    for path in found.keys() - {"embedding", "output_layer/kernel", "output_layer/bias"}:
        np.testing.assert_array_equal(found[path], old[path])
    assert found.keys() == old.keys()
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, drawn.opt_state)
    assert int(state.step) == 0
    assert transfer.lines() == [
        f"starts from  {workdir}, step 7",
        "words        7 of 9 found there; the other 2 are initialized afresh",
        "taken        decoder, embedding, encoder, flow_stack, output_layer, posterior",
        "fresh        nothing",
    ]


def test_only_the_named_parts_are_taken(wae):
    workdir, old, _ = wae
    drawn, state, transfer = begun(wae_config(), workdir, "posterior", "decoder/lstm")
    found, fresh = flat(state), flat(drawn)
    for path, value in found.items():
        taken = path.startswith(("posterior/", "decoder/lstm/"))
        np.testing.assert_array_equal(value, (old if taken else fresh)[path])
    record = transfer.record()
    assert record["taken"] == ["decoder/lstm", "posterior"]
    assert set(record["fresh"]) >= {"embedding", "encoder", "flow_stack", "output_layer"}
    assert "words_found" not in record  # no word has an entry in these parts


def test_an_autoencoder_begins_from_what_a_language_model_has(lm):
    workdir, old, _ = lm
    drawn, state, transfer = begun(wae_config(), workdir)
    record = transfer.record()
    assert "embedding" in record["taken"]
    assert "decoder/lstm" in record["taken"]
    assert "output_layer" in record["taken"]
    assert set(record["fresh"]) == {"decoder/initial_state", "encoder", "flow_stack", "posterior"}
    np.testing.assert_array_equal(flat(state)["decoder/lstm/kernel"], old["decoder/lstm/kernel"])
    for name in ("posterior/mean/kernel", "posterior/mean_norm/var"):
        np.testing.assert_array_equal(flat(state)[name], flat(drawn)[name])


REFUSED = {
    "hidden size": (
        {"hidden_dim": 12},
        (),
        r"decoder/initial_state/bias of \S+ does not fit \(model.hidden_dim is 6 there and 12 "
        r"here; its shape is \[12\] there and \[24\] here\): give the new model the same values",
    ),
    "latent size": ({"latent_dim": 2}, ("decoder",), "model.latent_dim is 3 there and 2 here;"),
    "kind of flow": (
        {"flow": "planar_paper"},
        (),
        r"flow_stack/steps/\w of \S+ does not fit \(model.flow is 'planar' there and "
        r"'planar_paper' here\)",
    ),
    "start of the log-variance": (
        {"posterior__initial_log_var": -2.0},
        (),
        r"posterior/\S+ of \S+ does not fit \(posterior.initial_log_var is 0.0 there and -2.0 "
        r"here\)",
    ),
    "scale of the means": (
        {"posterior__batch_norm": False},
        (),
        r"posterior/\S+ of \S+ does not fit \(posterior.batch_norm is True there and False here\)",
    ),
    "embedding of the encoder": (
        {"shared_embedding": False},
        ("encoder",),
        r"encoder/\S+ of \S+ does not fit \(model.shared_embedding is True there and False here\)",
    ),
    "tied output": (
        {"tied_output": True},
        ("output_layer",),
        r"output_layer/\S+ of \S+ does not fit \(model.tied_output is False there and True here\)",
    ),
    "no such part": (
        {},
        ("embeddings",),
        "no part 'embeddings' in common: name one or more of decoder,",
    ),
    "beginning of a name": ({}, ("enc",), "no part 'enc' in common"),
}


@pytest.mark.parametrize("changes, parts, message", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_with_both_values(wae, changes, parts, message):
    recipe = recipe_of(wae_config(**changes), NEW)
    with pytest.raises(InputError, match=message):
        planned_transfer(Origin(str(wae[0]), parts), recipe.model, NEW)


def test_what_stays_behind_is_told(wae):
    recipe = recipe_of(lm_config(), NEW)
    transfer = planned_transfer(Origin(str(wae[0])), recipe.model, NEW)
    behind = ["decoder/initial_state", "encoder", "flow_stack", "posterior"]
    assert transfer.record()["left"] == behind
    assert transfer.lines()[-1] == f"left         {', '.join(behind)}"


def test_other_sizes_do_no_harm_where_nothing_of_them_is_taken(wae):
    recipe = recipe_of(wae_config(latent_dim=2, hidden_dim=12), NEW)
    transfer = planned_transfer(Origin(str(wae[0]), ("embedding",)), recipe.model, NEW)
    assert transfer.record()["taken"] == ["embedding"]


def test_a_folder_without_a_run_is_named_by_its_flag(tmp_path):
    model = recipe_of(lm_config(), NEW).model
    with pytest.raises(InputError, match=f"^--init_from: {tmp_path} holds no run"):
        planned_transfer(Origin(str(tmp_path)), model, NEW)
