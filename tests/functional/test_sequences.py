import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae
from tests.functional.conftest import BATCH
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, NUM_SPECIAL, PAD_ID, UNK_ID

TOKENS = jnp.array([[7, 8, 9, 4], [5, 6, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0]], jnp.int32)
LENGTHS = jnp.array([4, 2, 1, 0], jnp.int32)


def test_special_ids_are_the_first_ones():
    assert tuple(range(NUM_SPECIAL)) == (PAD_ID, UNK_ID, BOS_ID, EOS_ID)


def test_inputs_and_targets_are_the_sentence_shifted_by_one():
    read, predicted = wae.bos_inputs(TOKENS), wae.eos_targets(TOKENS, LENGTHS)
    assert read.shape == predicted.shape == (4, 5)
    assert read.dtype == predicted.dtype == TOKENS.dtype
    for row, length in enumerate(LENGTHS.tolist()):
        words = TOKENS[row, :length].tolist()
        padding = [PAD_ID] * (4 - length)
        assert read[row].tolist() == [BOS_ID, *words, *padding]
        assert predicted[row].tolist() == [*words, EOS_ID, *padding]


def test_targets_do_not_trust_what_lies_beyond_the_length():
    predicted = wae.eos_targets(jnp.array([[7, 8, 9]]), jnp.array([1]))
    assert predicted.tolist() == [[7, EOS_ID, PAD_ID, PAD_ID]]


def test_mask_counts_the_lengths():
    mask = wae.sequence_mask(LENGTHS, 6)
    assert mask.dtype == jnp.bool_
    assert mask.sum(axis=1).tolist() == LENGTHS.tolist()
    # Valid positions come first.
    assert (jnp.diff(mask.astype(int), axis=1) <= 0).all()


def test_sum_ignores_padding_even_if_it_is_not_a_number():
    values = jnp.where(wae.sequence_mask(LENGTHS, 5), 2.0, jnp.nan)
    total, gradient = jax.value_and_grad(lambda v: wae.sum_over_tokens(v, LENGTHS).sum())(values)
    assert total == 2.0 * LENGTHS.sum()
    np.testing.assert_array_equal(gradient, wae.sequence_mask(LENGTHS, 5))


def test_sum_takes_sample_axes_in_front():
    values = jnp.arange(3 * 4 * 5.0).reshape(3, 4, 5)
    together = wae.sum_over_tokens(values, LENGTHS)
    apart = jnp.stack([wae.sum_over_tokens(sample, LENGTHS) for sample in values])
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.uint32])
def test_lengths_of_any_integer_dtype_count_more_positions_than_it_has_numbers(dtype):
    """Of 300 positions int8 knows 128; the last sentence ends where int8 does."""
    lengths = jnp.array([0, 1, 100, 127], dtype)
    values, tokens = jnp.ones((4, 300)), jnp.full((4, 299), NUM_SPECIAL)
    assert wae.sequence_mask(lengths, 300).sum(-1).tolist() == [0, 1, 100, 127]
    assert wae.sum_over_tokens(values, lengths).tolist() == [0, 1, 100, 127]
    ends = wae.eos_targets(tokens, lengths) == EOS_ID
    assert jnp.argwhere(ends).tolist() == [[0, 0], [1, 1], [2, 100], [3, 127]]


NOISE = {
    "word_dropout": lambda keys, inputs: wae.word_dropout(keys, inputs, rate=0.4),
    "example_dropout": lambda keys, x: wae.example_dropout(keys, x.astype(float), rate=0.4),
    "example_normal": lambda keys, x: wae.example_normal(keys, x.shape[1:]),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
def test_noise_belongs_to_the_example_and_not_to_its_place(noise, keys, inputs):
    together = noise(keys, inputs)
    some = jnp.array([50, 3, 17])
    np.testing.assert_array_equal(noise(keys[some], inputs[some]), together[some])


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
def test_noise_differs_between_examples_and_between_steps(noise, keys, inputs):
    same = jnp.broadcast_to(inputs[:1].at[:, 1:].set(NUM_SPECIAL), inputs.shape)
    drawn = noise(keys, same)
    assert len(np.unique(drawn, axis=0)) == BATCH
    next_step = wae.example_keys(jax.random.key(1), jnp.arange(BATCH))
    assert (noise(next_step, same) != drawn).any(axis=1).all()


def test_keys_depend_on_the_global_index_alone(key):
    keys = jax.random.key_data(wae.example_keys(key, jnp.arange(6)))
    parts = (jnp.array([3, 4, 5]), jnp.array([0, 1, 2]))
    devices = [jax.random.key_data(wae.example_keys(key, part)) for part in parts]
    np.testing.assert_array_equal(np.concatenate(devices[::-1]), keys)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.uint32, np.int64])
def test_keys_depend_on_the_number_and_not_on_its_dtype(key, dtype):
    numbers = [0, 3, 127]
    expected = wae.example_keys(key, jnp.array(numbers))
    assert (wae.example_keys(key, np.array(numbers, dtype)) == expected).all()


def test_numbers_that_differ_above_32_bits_have_different_keys(key):
    keys = wae.example_keys(key, np.array([3, 2**32 + 3, 2**33 + 3, 2**40]))
    assert len(np.unique(jax.random.key_data(keys), axis=0)) == 4


def test_normal_draws_are_standard(keys):
    draws = np.asarray(wae.example_normal(keys, (500,)))
    assert draws.dtype == np.float32
    assert abs(draws.mean()) < 4 / np.sqrt(draws.size)
    assert abs(draws.var() - 1.0) < 4 * np.sqrt(2 / draws.size)


@pytest.mark.usefixtures("x64")
def test_normal_draws_are_single_precision_whatever_the_default(keys):
    assert wae.example_normal(keys, (3,)).dtype == jnp.float32


WRONG = {
    "mask of floats": lambda keys: wae.sequence_mask(jnp.ones(2), 3),
    "inputs of floats": lambda keys: wae.bos_inputs(jnp.ones((2, 3))),
    "inputs of a scalar": lambda keys: wae.bos_inputs(jnp.array(3)),
    "targets with too many lengths": lambda keys: wae.eos_targets(TOKENS, jnp.ones(5, int)),
    "sum with too many lengths": lambda keys: wae.sum_over_tokens(
        jnp.ones((4, 5)), jnp.ones(5, int)
    ),
    "sum with lengths of floats": lambda keys: wae.sum_over_tokens(jnp.ones((4, 5)), jnp.ones(4)),
    "index of floats": lambda keys: wae.example_keys(keys[0], jnp.ones(2)),
    "several keys for one step": lambda keys: wae.example_keys(keys, jnp.arange(2)),
    "raw keys": lambda keys: wae.example_normal(jax.random.key_data(keys), (2,)),
    "one key for a batch": lambda keys: wae.example_dropout(keys[0], jnp.ones((2, 2)), rate=0.5),
    "too few keys": lambda keys: wae.word_dropout(keys[:2], TOKENS, rate=0.5),
    "word dropout on floats": lambda keys: wae.word_dropout(keys[:4], TOKENS * 1.0, rate=0.5),
    "word dropout of rank 1": lambda keys: wae.word_dropout(keys[:4], TOKENS[:, 0], rate=0.5),
    "dropout on integers": lambda keys: wae.example_dropout(keys[:4], TOKENS, rate=0.5),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_wrong_dtypes_and_shapes_are_rejected(call, keys):
    with pytest.raises(AssertionError):
        call(keys)
