import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae
from tests.functional.conftest import BATCH, TIME
from wae_rnf_jax.functional.special_ids import BOS_ID, NUM_SPECIAL, PAD_ID, UNK_ID


def test_word_dropout_spares_bos_and_padding(keys, inputs):
    dropped = wae.word_dropout(keys, inputs, rate=1.0)
    words = (inputs != BOS_ID) & (inputs != PAD_ID)
    np.testing.assert_array_equal(dropped, jnp.where(words, UNK_ID, inputs))
    assert dropped.dtype == inputs.dtype


def test_word_dropout_has_its_rate(keys, inputs):
    words = np.asarray(inputs) >= NUM_SPECIAL
    changed = np.asarray(wae.word_dropout(keys, inputs, rate=0.3) == UNK_ID)[words]
    assert abs(changed.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / changed.size)


def test_dropout_keeps_the_mean_and_has_its_rate(keys):
    dropped = np.asarray(wae.example_dropout(keys, jnp.ones((BATCH, 20, 10)), rate=0.2))
    assert set(np.unique(dropped)) == {np.float32(0.0), np.float32(1.25)}
    assert abs((dropped == 0).mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / dropped.size)


def test_a_rate_of_zero_changes_nothing(keys, inputs):
    x = jnp.linspace(-1.0, 1.0, BATCH * 3).reshape(BATCH, 3)
    np.testing.assert_array_equal(wae.example_dropout(keys, x, rate=0.0), x)
    np.testing.assert_array_equal(wae.word_dropout(keys, inputs, rate=0.0), inputs)
    embedded = jnp.linspace(-1.0, 1.0, BATCH * TIME).reshape(BATCH, TIME, 1)
    np.testing.assert_array_equal(wae.embedding_dropout(keys, embedded, inputs, rate=0.0), embedded)
    np.testing.assert_array_equal(wae.weight_dropout(keys[0], x, rate=0.0), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_dropout_rejects_a_rate_outside_its_range(keys, rate):
    with pytest.raises(ValueError, match="rate"):
        wae.example_dropout(keys, jnp.ones((BATCH, 2)), rate=rate)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_word_dropout_rejects_a_rate_outside_its_range(keys, inputs, rate):
    with pytest.raises(ValueError, match="rate"):
        wae.word_dropout(keys, inputs, rate=rate)


def test_a_word_is_dropped_at_all_of_its_places_or_at_none(keys, inputs):
    dropped = np.asarray(wae.embedding_dropout(keys, jnp.ones((BATCH, TIME, 3)), inputs, rate=0.3))
    assert set(np.unique(dropped)) == {np.float32(0.0), np.float32(1 / 0.7)}
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[..., :1], dropped.shape))
    outcomes = [
        {word: set(row[words == word].tolist()) for word in set(words.tolist())}
        for words, row in zip(np.asarray(inputs), dropped[..., 0], strict=True)
    ]
    assert all(len(seen) == 1 for sentence in outcomes for seen in sentence.values())
    each = np.array([seen == {0.0} for sentence in outcomes for seen in sentence.values()])
    assert abs(each.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / each.size)
    of_one_word = [sentence[BOS_ID] for sentence in outcomes]
    assert {0.0} in of_one_word
    assert {float(np.float32(1 / 0.7))} in of_one_word


def test_weights_keep_their_mean_and_have_the_rate(key):
    dropped = np.asarray(wae.weight_dropout(key, jnp.ones((80, 90)), rate=0.2))
    assert set(np.unique(dropped)) == {np.float32(0.0), np.float32(1.25)}
    assert abs((dropped == 0).mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / dropped.size)
    other = wae.weight_dropout(jax.random.key(1), jnp.ones((80, 90)), rate=0.2)
    assert np.any(other != dropped)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_of_words_and_weights_outside_their_range_are_refused(keys, key, inputs, rate):
    with pytest.raises(ValueError, match="embedding_dropout: rate must lie"):
        wae.embedding_dropout(keys, jnp.ones((BATCH, TIME, 1)), inputs, rate=rate)
    with pytest.raises(ValueError, match="weight_dropout: rate must lie"):
        wae.weight_dropout(key, jnp.ones(3), rate=rate)


def test_words_and_embeddings_that_do_not_match_are_refused(keys, inputs):
    with pytest.raises(AssertionError):
        wae.embedding_dropout(keys, jnp.ones((BATCH, TIME - 1, 1)), inputs, rate=0.5)
    with pytest.raises(AssertionError):
        wae.embedding_dropout(keys, jnp.ones((BATCH, TIME)), inputs, rate=0.5)
