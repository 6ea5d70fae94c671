import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.latent_space import (
    encode_sentences,
    interpolate,
    interpolate_sentences,
    prior_codes,
    reconstruct_sentences,
)
from wae_rnf_jax.functional.sequences import PAD_ID

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
    codes = np.asarray(prior_codes(key, 4000, 5))
    assert codes.shape == (4000, 5)
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=0.08)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(5), atol=0.11)
    np.testing.assert_array_equal(prior_codes(key, 3, 5), codes[:3])
    np.testing.assert_array_equal(prior_codes(key, 2, 5, first_index=3), codes[3:5])
    assert prior_codes(key, 3, 0).shape == (3, 0)


def test_codes_are_the_flow_of_the_means(tiny, vocabulary):
    model, variables = tiny
    encoded = encode_sentences(model, variables, vocabulary, SENTENCES)
    assert encoded.unknown == ((), (), ())
    ids = [vocabulary.encode(sentence) for sentence in SENTENCES]
    tokens = jnp.array([row + [PAD_ID] * (5 - len(row)) for row in ids])
    lengths = jnp.array([len(row) for row in ids])
    encode = jax.jit(lambda *args: model.apply(variables, *args, method="encode"))
    flow = jax.jit(lambda z: model.apply(variables, z, method="flow_forward"))
    mean, log_var = encode(tokens, lengths)
    np.testing.assert_allclose(encoded.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded.log_var, log_var, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded.codes, flow(mean)[0], rtol=1e-5, atol=1e-6)
    assert np.abs(encoded.codes - encoded.mean).max() > 0.01


def test_codes_do_not_depend_on_the_batch_size(tiny, vocabulary):
    together = encode_sentences(*tiny, vocabulary, SENTENCES)
    parts = encode_sentences(*tiny, vocabulary, SENTENCES, batch_size=2)
    assert parts.codes.shape == (3, 3)
    np.testing.assert_allclose(parts.codes, together.codes, rtol=1e-5, atol=1e-6)


def test_unknown_words_are_reported_by_sentence(tiny, vocabulary):
    encoded = encode_sentences(
        *tiny, vocabulary, ["red mauve blue teal", "red <unk> blue <unk>", "cyan"]
    )
    assert encoded.unknown == (("mauve", "teal"), (), ())
    np.testing.assert_array_equal(encoded.codes[0], encoded.codes[1])


def test_reconstructions_decode_the_codes(tiny, vocabulary):
    found = reconstruct_sentences(
        *tiny, vocabulary, [*SENTENCES, "teal"], decoding=SHORT, batch_size=2
    )
    encoded = encode_sentences(*tiny, vocabulary, [*SENTENCES, "teal"])
    assert found.unknown == ((), (), (), ("teal",))
    assert found.sentences == decoded_sentences(*tiny, vocabulary, encoded.codes, decoding=SHORT)
    assert len(set(found.sentences)) > 1


def test_interpolated_sentences_begin_and_end_with_the_reconstructions(tiny, vocabulary):
    path = interpolate_sentences(
        *tiny, vocabulary, SENTENCES[0], SENTENCES[2] + " mauve", num_points=5, decoding=SHORT
    )
    ends = reconstruct_sentences(
        *tiny, vocabulary, (SENTENCES[0], SENTENCES[2] + " mauve"), decoding=SHORT
    )
    assert path.unknown == ((), ("mauve",))
    assert len(path.sentences) == 5
    assert path.codes.shape == (5, 3)
    assert (path.sentences[0], path.sentences[-1]) == ends.sentences
    assert path.sentences == decoded_sentences(*tiny, vocabulary, path.codes, decoding=SHORT)


@pytest.mark.parametrize(
    "sentences, message",
    [
        ((), "no sentence"),
        (("red", "  "), "sentence 2 is empty"),
        (("red <eos> blue",), "sentence 1 holds the word <eos>"),
    ],
)
def test_what_cannot_be_encoded_is_named(tiny, vocabulary, sentences, message):
    with pytest.raises(InputError, match=message):
        encode_sentences(*tiny, vocabulary, sentences)


def test_a_language_model_has_no_codes(tiny_language_model, vocabulary):
    with pytest.raises(InputError, match="no latent code"):
        reconstruct_sentences(*tiny_language_model, vocabulary, SENTENCES)


def test_a_language_model_generates_from_empty_codes(tiny_language_model, vocabulary):
    texts = decoded_sentences(
        *tiny_language_model,
        vocabulary,
        jnp.zeros((30, 0)),
        decoding=Decoding("sample", max_length=8),
    )
    assert len(set(texts)) > 5


def test_an_interpolation_of_one_point_is_refused(tiny, vocabulary):
    with pytest.raises(InputError, match="2 points"):
        interpolate_sentences(*tiny, vocabulary, "red", "blue", num_points=1)
