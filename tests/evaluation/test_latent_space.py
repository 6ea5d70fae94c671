from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation import latent_space
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.latent_space import (
    encode_sentences,
    interpolate,
    interpolate_sentences,
    prior_codes,
    prior_sentences,
    split_codes,
)
from wae_rnf_jax.functional.distributions import StandardNormal
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.functional.special_ids import PAD_ID

SENTENCES = ("red green blue", "cyan", "blue blue red green cyan")
SHORT = Decoding(max_length=8)


def test_interpolation_is_an_even_straight_line():
    start, end = jnp.array([1.0, -2.0, 0.0]), jnp.array([3.0, 2.0, 0.0])
    path = interpolate(start, end, num_points=5)
    np.testing.assert_array_equal(path[0], start)
    np.testing.assert_array_equal(path[-1], end)
    np.testing.assert_allclose(np.diff(path, axis=0), np.tile([0.5, 1.0, 0.0], (4, 1)), atol=1e-6)


def test_interpolation_needs_two_points_and_two_codes_of_a_size():
    with pytest.raises(ValueError, match="2 points"):
        interpolate(jnp.zeros(2), jnp.ones(2), num_points=1)
    with pytest.raises(AssertionError):
        interpolate(jnp.zeros(2), jnp.ones(3), num_points=3)


def test_prior_codes_are_standard_normal_and_keyed_by_number():
    key = jax.random.key(2)
    codes = np.asarray(prior_codes(key, 4000, StandardNormal(5)))
    assert codes.shape == (4000, 5)
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=0.08)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(5), atol=0.11)
    np.testing.assert_array_equal(prior_codes(key, 3, StandardNormal(5)), codes[:3])
    np.testing.assert_array_equal(prior_codes(key, 2, StandardNormal(5), first_index=3), codes[3:5])
    assert prior_codes(key, 3, StandardNormal(0)).shape == (3, 0)


def test_codes_are_the_flow_of_the_means(tiny, trained, vocabulary):
    encoded = encode_sentences(trained, SENTENCES)
    assert encoded.unknown == ((), (), ())
    ids = [vocabulary.encode(sentence) for sentence in SENTENCES]
    tokens = jnp.array([row + [PAD_ID] * (5 - len(row)) for row in ids])
    lengths = jnp.array([len(row) for row in ids])
    expected = jax.jit(tiny.infer)(tokens, lengths)
    found, codes = encoded.posterior, jax.jit(tiny.flow_forward)(expected.mean)[0]
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.log_var, expected.log_var, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded.zk, codes, rtol=1e-5, atol=1e-6)
    assert np.abs(encoded.zk - found.mean).max() > 0.01


def test_codes_do_not_depend_on_the_batch_size(trained):
    together = encode_sentences(trained, SENTENCES)
    parts = encode_sentences(trained, SENTENCES, batch_size=2)
    assert parts.zk.shape == (3, 3)
    np.testing.assert_allclose(parts.zk, together.zk, rtol=1e-5, atol=1e-6)


def test_unknown_words_are_reported_by_sentence(trained):
    encoded = encode_sentences(trained, ["red mauve blue teal", "red <unk> blue <unk>", "cyan"])
    assert encoded.unknown == (("mauve", "teal"), (), ())
    np.testing.assert_array_equal(encoded.zk[0], encoded.zk[1])


def test_codes_of_a_split_are_of_its_tokens_and_not_of_its_text(trained, split, monkeypatch):
    rows = [3, 0, 5]
    texts = [trained.vocabulary.decode(split.sentence(row).tolist()) for row in rows]
    expected = encode_sentences(trained, texts).zk
    monkeypatch.setattr(type(trained.vocabulary), "encode", None)  # as text, some are other tokens
    np.testing.assert_allclose(split_codes(trained, split, rows), expected, rtol=1e-6)
    two = split_codes(trained, split, rows, batch_size=2)
    np.testing.assert_allclose(two, expected, rtol=1e-5)


def test_sentences_are_the_same_codes_in_batches_of_any_size(trained):
    given = [*SENTENCES, "teal"]
    by_two, at_once = (encode_sentences(trained, given, batch_size=size) for size in (2, 64))
    assert by_two.unknown == ((), (), (), ("teal",))
    found = [decoded_sentences(trained, codes.zk, decoding=SHORT) for codes in (by_two, at_once)]
    assert found[0] == found[1]
    assert len(set(found[0])) > 1


def test_interpolated_sentences_begin_and_end_with_the_reconstructions(trained):
    path = interpolate_sentences(
        trained, SENTENCES[0], SENTENCES[2] + " mauve", num_points=5, decoding=SHORT
    )
    ends = encode_sentences(trained, (SENTENCES[0], SENTENCES[2] + " mauve"))
    assert path.unknown == ((), ("mauve",))
    assert len(path.sentences) == 5
    assert path.codes.shape == (5, 3)
    ends = decoded_sentences(trained, ends.zk, decoding=SHORT)
    assert (path.sentences[0], path.sentences[-1]) == ends
    assert path.sentences == decoded_sentences(trained, path.codes, decoding=SHORT)


@pytest.mark.parametrize(
    "sentences, message",
    [
        ((), "no sentence"),
        (("red", "  "), "sentence 2 is empty"),
        (("red <eos> blue",), "sentence 1 contains the word <eos>"),
    ],
)
def test_what_cannot_be_encoded_is_named(trained, sentences, message):
    with pytest.raises(InputError, match=message):
        encode_sentences(trained, sentences)


def test_a_language_model_has_no_codes(trained_language_model):
    with pytest.raises(InputError, match="no latent code"):
        encode_sentences(trained_language_model, SENTENCES)


def test_codes_and_words_of_one_seed_share_no_key(trained, monkeypatch):
    given = []

    def draws(key, num_codes, prior):
        given.append(key)
        return prior_codes(key, num_codes, prior)

    monkeypatch.setattr(latent_space, "prior_codes", draws)
    assert len(prior_sentences(trained, 4, decoding=Decoding("sample", max_length=8))) == 4
    number = jnp.arange(8)
    rows = example_keys(jax.random.key(0), number)
    words = jax.vmap(lambda row: example_keys(row, number))(rows).ravel()
    data = [jax.random.key_data(keys) for keys in (example_keys(given[0], number), rows, words)]
    assert len(np.unique(np.concatenate(data), axis=0)) == 8 + 8 + 64


def test_a_language_model_generates_from_empty_codes(trained_language_model):
    texts = decoded_sentences(
        trained_language_model,
        jnp.zeros((30, 0)),
        decoding=Decoding("sample", max_length=8),
    )
    assert len(set(texts)) > 5


def test_an_interpolation_of_one_point_is_refused(trained):
    with pytest.raises(InputError, match="2 points"):
        interpolate_sentences(trained, "red", "blue", num_points=1)


def test_one_dimension_has_no_great_circle():
    trained = SimpleNamespace(model=SimpleNamespace(latent_dim=1))
    with pytest.raises(InputError, match="where there are no great circles"):
        interpolate_sentences(trained, "a cat", "a dog", num_points=3, path="spherical")
