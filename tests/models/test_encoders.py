"""Every encoder: its summary has the size that it says, and knows nothing of padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.models.encoders import ENCODERS
from wae_rnf_jax.models.encoders.lstm import LSTMEncoder

B, T, E, H = 3, 6, 4, 8


def make(name, key):
    encoder = ENCODERS[name](E, H)
    embedded, lengths = jax.random.normal(key, (B, T, E)), jnp.array([T, 3, 1])
    return encoder, jax.jit(encoder.init)(key, embedded, lengths), embedded, lengths


@pytest.mark.parametrize("name", ENCODERS)
def test_a_summary_is_of_its_sentence_alone(name, key):
    encoder, variables, embedded, lengths = make(name, key)
    summary = encoder.apply(variables, embedded, lengths)
    assert summary.shape == (B, encoder.summary_dim)
    padded = embedded.at[1, 3:].set(9.0).at[2, 1:].set(-9.0)
    np.testing.assert_array_equal(encoder.apply(variables, padded, lengths), summary)
    alone = encoder.apply(variables, embedded[1:2, :3], lengths[1:2])
    np.testing.assert_allclose(alone, summary[1:2], atol=1e-6)
    gradient = jax.grad(lambda e: encoder.apply(variables, e, lengths).sum())(embedded)
    reached = np.abs(gradient).max(-1) > 0
    np.testing.assert_array_equal(reached, np.arange(T)[None] < np.asarray(lengths)[:, None])


def test_bilstm_is_an_lstm_from_either_end(key):
    encoder, variables, embedded, lengths = make("bilstm", key)
    summary = encoder.apply(variables, embedded, lengths)
    for row, length in enumerate(lengths.tolist()):
        words = embedded[row : row + 1, :length]
        for part, (name, ordered) in enumerate((("forward", words), ("backward", words[:, ::-1]))):
            one = LSTMEncoder(E, H).apply(
                {"params": {"lstm": variables["params"][name]}}, ordered, jnp.array([length])
            )
            half = summary[row : row + 1, 2 * H * part : 2 * H * (part + 1)]
            np.testing.assert_allclose(half, one, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "bilstm"])
def test_an_lstm_may_have_a_state_of_its_own_size(name, key):
    encoder = ENCODERS[name](E, H, state_dim=3)
    embedded, lengths = jax.random.normal(key, (B, T, E)), jnp.array([T, 3, 1])
    summary, variables = encoder.init_with_output(key, embedded, lengths)
    narrow = ENCODERS[name](E, 3)
    assert summary.shape == (B, encoder.summary_dim) == (B, narrow.summary_dim)
    np.testing.assert_array_equal(narrow.apply(variables, embedded, lengths), summary)
