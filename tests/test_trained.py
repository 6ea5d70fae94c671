"""A trained model as an object."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import wae_rnf_jax
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation import generation, latent_space
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.latent_space import prior_sentences
from wae_rnf_jax.evaluation.scoring import score_sentences

GIVEN = ["the food was good", "rude service and cold food"]
SHORT = {"max_length": 6}


@pytest.fixture(scope="module")
def workdir(checkout_with_run):
    return checkout_with_run / "runs" / "reviews"


@pytest.fixture(scope="module")
def run(workdir):
    return wae_rnf_jax.load_run(workdir)


def test_it_is_loaded_lazily_from_the_package():
    program = (
        "import sys, wae_rnf_jax; wae_rnf_jax.planar_identity_params;"
        "print('flax' in sys.modules); wae_rnf_jax.load_run; print('flax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["False", "True"]


def test_a_string_loads_what_a_path_does(workdir, run):
    found = wae_rnf_jax.load_run(str(workdir))
    assert found.config == run.config
    assert found.step == run.step > 0
    jax.tree.map(np.testing.assert_array_equal, found.variables, run.variables)


def test_a_folder_without_a_run_is_named_without_a_flag(tmp_path):
    with pytest.raises(InputError, match=rf"^{tmp_path} holds no run"):
        wae_rnf_jax.load_run(tmp_path)


def test_module_and_variables_give_the_posterior(run):
    codes = run.encode(GIVEN)
    ids = [run.vocabulary.encode(sentence) for sentence in GIVEN]
    tokens = np.zeros((2, 5), np.int32)
    for row, of_sentence in zip(tokens, ids, strict=True):
        row[: len(of_sentence)] = of_sentence
    lengths = np.array([len(row) for row in ids])
    posterior = run.model.apply(run.variables, tokens, lengths, method="infer")
    np.testing.assert_allclose(codes.posterior.mean, posterior.mean, atol=1e-5)
    np.testing.assert_array_equal(codes.z0, codes.posterior.mean)
    zk, _ = run.model.apply(run.variables, codes.z0, method="flow_forward")
    np.testing.assert_allclose(codes.zk, zk, atol=1e-5)
    assert len(codes) == 2
    assert codes.zk.shape == (2, run.latent_dim)


def test_codes_are_decoded_however_they_are_held(run):
    codes = run.encode(GIVEN)
    expected = run.reconstruct(GIVEN, **SHORT)
    assert len(expected) == 2
    for held in (codes, codes.zk, np.asarray(codes.zk), np.asarray(codes.zk, np.float64)):
        assert run.decode(held, **SHORT) == expected
    greedy = decoded_sentences(run.trained, codes.zk, decoding=Decoding(max_length=6))
    assert expected == list(greedy)


def test_decoding_is_set_by_name(run):
    drawn = Decoding("sample", seed=3, temperature=0.5, **SHORT)
    assert run.sample(4, seed=3, temperature=0.5, **SHORT) == list(
        prior_sentences(run.trained, 4, decoding=drawn)
    )
    with pytest.raises(InputError, match="no decoding setting 'beams': the settings are strategy"):
        run.sample(1, beams=3)
    with pytest.raises(InputError, match="beam_width is 0, but must be from 1"):
        run.decode(run.encode(GIVEN), strategy="beam", beam_width=0)


@pytest.mark.parametrize(
    "codes, message",
    [
        (np.zeros(2), r"of shape \[2\]: this model takes real numbers of shape \[N, 2\]"),
        (np.zeros((3, 4)), r"of shape \[3, 4\]"),
        (np.full((1, 2), np.nan), "NaN"),
        (np.full((1, 2), 1e39), "beyond single precision"),
        (np.array([["a", "b"]]), "real numbers"),
    ],
)
def test_codes_that_are_none_are_refused(run, codes, message):
    with pytest.raises(InputError, match=message):
        run.decode(codes)


def test_a_path_says_where_each_sentence_is(run):
    found = run.interpolate(*GIVEN, num_points=5, **SHORT)
    np.testing.assert_allclose(found.shares, [0, 0.25, 0.5, 0.75, 1])
    ends = run.encode(GIVEN).zk
    middle = 0.75 * np.asarray(ends[0]) + 0.25 * np.asarray(ends[1])
    np.testing.assert_allclose(found.codes[1], middle, atol=1e-6)
    assert [found.sentences[0], found.sentences[-1]] == run.reconstruct(GIVEN, **SHORT)
    with pytest.raises(InputError, match="no path 'curved': it must be one of straight"):
        run.interpolate(*GIVEN, path="curved")


def test_scores_are_nats(run):
    scores = run.score(GIVEN, num_samples=3, seed=1)
    expected = score_sentences(run.trained, GIVEN, num_samples=3, num_buckets=1, seed=1).nll
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert scores.dtype == np.float64


def test_splits_are_text_with_labels(run):
    for name, count in (("train", 48), ("valid", 12), ("test", 12)):
        texts, labels = run.split(name)
        assert len(texts) == len(labels) == count
        assert texts[:2] == ["the food was good", "the food was bad"]
        assert labels[:2] == ["good", "bad"]
    assert set(run.labels) == {"good", "bad"}
    with pytest.raises(InputError, match="no split 'dev': it must be one of train, valid, test"):
        run.split("dev")


def test_loading_twice_compiles_once(workdir):
    def used(run):
        codes = run.encode(GIVEN[:1])
        return run.decode(codes, max_length=5)

    first = used(wae_rnf_jax.load_run(workdir))
    compiled = [latent_space._posterior_codes, generation._sampling_loop]
    before = [function._cache_size() for function in compiled]
    assert used(wae_rnf_jax.load_run(workdir)) == first
    assert [function._cache_size() for function in compiled] == before


def test_one_sentence_is_one_row(run, monkeypatch):
    shapes = []
    inner = latent_space._posterior_codes
    monkeypatch.setattr(
        latent_space,
        "_posterior_codes",
        lambda model, tokens, lengths: shapes.append(tokens.shape) or inner(model, tokens, lengths),
    )
    run.encode(GIVEN[:1])
    run.encode(GIVEN * 3)
    run.encode(GIVEN * 3, batch_size=4)
    assert [shape[0] for shape in shapes] == [1, 8, 4, 4]


def test_paths_are_expanded(workdir, monkeypatch):
    monkeypatch.setenv("HOME", os.fspath(workdir.parent))
    assert wae_rnf_jax.load_run("~/reviews").step > 0


def test_one_string_is_not_taken_for_a_list_of_its_characters(run):
    for method in (run.encode, run.score, run.reconstruct):
        with pytest.raises(InputError, match="'the food' is one string: give a list, as in"):
            method("the food")


def test_it_says_in_a_line_what_it_is(run):
    words = run.vocabulary.size
    assert repr(run) == f"<Run: wae_nf at step {run.step}, Z = 2, {words} words>"
