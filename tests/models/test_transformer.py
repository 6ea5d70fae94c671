"""The transformer against NumPy, a step at a time, what it sees, and how places are refilled."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decoder_steps import applied, started, stepped
from jax.test_util import check_grads
from scipy.special import erf, softmax

from wae_rnf_jax.choices import Choice
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.decoders.transformer import TransformerDecoder
from wae_rnf_jax.models.encoders.transformer import TransformerEncoder
from wae_rnf_jax.models.initializers import INITIALIZERS
from wae_rnf_jax.models.transformer import rotated

B, T, E, H, Z, HEADS = 3, 7, 4, 8, 2, 2


def make(key, dtype=jnp.float32, latent_dim=Z):
    """A decoder with parameters well away from zero, codes [B, Z], embedded words [B, T, E]."""
    family = INITIALIZERS["pytorch"]
    decoder = TransformerDecoder(E, H, latent_dim, family, num_heads=HEADS, feedforward_dim=5)
    keys = jax.random.split(key, 3)
    zk = jax.random.normal(keys[0], (B, latent_dim), dtype)
    embedded = jax.random.normal(keys[1], (B, T, E), dtype)
    variables = jax.jit(decoder.init)(keys[2], zk, embedded)
    return decoder, jax.tree.map(lambda x: 2 * x.astype(dtype), variables), zk, embedded


def normalized(x, norm):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * norm["scale"] + norm["bias"]


def turned(x, position):
    """One head's x [T, D], pair i turned by position / 10,000^(2i/D)."""
    half = x.shape[-1] // 2
    angles = position[:, None] * 10_000.0 ** (-np.arange(half) / half)
    pairs = x[:, :half] + 1j * x[:, half:]
    pairs = pairs * np.exp(1j * angles)
    return np.concatenate([pairs.real, pairs.imag], -1)


def numpy_stack(params, x, mask):
    """Blocks and the last norm of one sentence x [T, H]; mask [T, T]."""
    position = np.arange(len(x))
    for i in range(2):
        p = params[f"blocks_{i}"]
        qkv = normalized(x, p["attention_norm"]) @ p["attention_in_kernel"] + p["attention_in_bias"]
        read = []
        for head in range(HEADS):
            q, k, v = (np.split(part, HEADS, -1)[head] for part in np.split(qkv, 3, -1))
            scores = turned(q, position) @ turned(k, position).T / np.sqrt(H / HEADS)
            read.append(softmax(np.where(mask, scores, -np.inf), -1) @ v)
        x = x + np.concatenate(read, -1) @ p["attention_out_kernel"] + p["attention_out_bias"]
        inner = normalized(x, p["feedforward_norm"]) @ p["feedforward_in_kernel"]
        inner = inner + p["feedforward_in_bias"]
        cubic = np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)
        inner = inner * 0.5 * (1 + np.tanh(cubic))
        x = x + inner @ p["feedforward_out_kernel"] + p["feedforward_out_bias"]
    return normalized(x, params["last_norm"])


def test_decoder_agrees_with_numpy(key, x64):
    decoder, variables, zk, embedded = make(key, jnp.float64)
    p = jax.tree.map(np.asarray, variables["params"])
    outputs = applied(decoder, variables, zk, embedded)
    zk, embedded = np.asarray(zk), np.asarray(embedded)
    for row in range(B):
        words = embedded[row] @ p["stack"]["word_kernel"] + zk[row] @ p["code_kernel"]
        x = np.concatenate([(zk[row] @ p["first_kernel"])[None], words])
        expected = numpy_stack(p["stack"], x, np.tri(T + 1, dtype=bool))[1:]
        np.testing.assert_allclose(outputs[row], expected, atol=1e-6)


def test_encoder_agrees_with_numpy(key, x64):
    encoder = TransformerEncoder(E, H, num_heads=HEADS)
    embedded = jax.random.normal(key, (B, T, E), jnp.float64)
    lengths = jnp.array([T, 3, 1])
    variables = jax.jit(encoder.init)(key, embedded, lengths)
    p = jax.tree.map(np.asarray, variables["params"]["stack"])
    summary = applied(encoder, variables, embedded, lengths)
    for row, length in enumerate(lengths.tolist()):
        x = np.asarray(embedded)[row, :length] @ p["word_kernel"]
        expected = numpy_stack(p, x, np.ones((length, length), bool)).mean(0)
        np.testing.assert_allclose(summary[row], expected, atol=1e-6)


def test_the_gelu_is_the_usual_approximation():
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(jax.nn.gelu(x), x * 0.5 * (1 + erf(x / np.sqrt(2))), atol=2e-3)


@pytest.mark.parametrize("latent_dim", [0, Z])
def test_step_by_step_equals_all_at_once(key, latent_dim):
    decoder, variables, zk, embedded = make(key, latent_dim=latent_dim)
    whole = applied(decoder, variables, zk, embedded)
    _, steps = stepped(decoder, variables, started(decoder, variables, zk), embedded, zk)
    np.testing.assert_allclose(steps, whole, atol=1e-5)


def test_several_codes_of_the_same_sentences(key):
    decoder, variables, zk, embedded = make(key)
    codes = jnp.stack([zk, -zk])[None]
    outputs = applied(decoder, variables, codes, embedded)
    chex.assert_shape(outputs, (1, 2, B, T, H))
    for number in range(2):
        expected = applied(decoder, variables, codes[0, number], embedded)
        np.testing.assert_allclose(outputs[0, number], expected, atol=1e-5)


def test_every_word_reads_the_code_itself_and_all_before_and_none_after(key):
    decoder, variables, zk, embedded = make(key)
    of_words, of_code = jax.jit(
        jax.jacrev(lambda e, z: decoder.apply(variables, z[None], e[None])[0], argnums=(0, 1))
    )(embedded[0], zk[0])
    influence = np.abs(of_words).max((1, 3))  # [T of outputs, T of words]
    assert not np.triu(influence, 1).any()
    assert np.all(np.tril(influence)[np.tri(T, dtype=bool)] > 0)
    assert np.all(np.abs(of_code).max((1, 2)) > 0)


@pytest.mark.parametrize("length", [1, 3])
def test_padding_changes_nothing_before_it(key, length):
    decoder, variables, zk, embedded = make(key)
    whole = applied(decoder, variables, zk, embedded)[:, :length]
    other = applied(decoder, variables, zk, embedded.at[:, length:].set(7.0))[:, :length]
    alone = applied(decoder, variables, zk, embedded[:, :length])
    np.testing.assert_array_equal(whole, other)
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_a_place_can_be_refilled_while_the_others_go_on(key):
    decoder, variables, zk, embedded = make(key)
    carry = started(decoder, variables, zk)
    carry, _ = stepped(decoder, variables, carry, embedded[:, :3], zk)
    fresh = started(decoder, variables, -zk)
    row = jnp.array([False, True, False])
    carry = jax.tree.map(
        lambda new, old: jnp.where(row.reshape(-1, *[1] * (old.ndim - 1)), new, old), fresh, carry
    )
    codes = jnp.where(row[:, None], -zk, zk)
    words = jnp.where(row[:, None, None], embedded[:, :4], embedded[:, 3:])
    _, outputs = stepped(decoder, variables, carry, words, codes)
    straight = applied(decoder, variables, zk, embedded)[:, 3:]
    anew = applied(decoder, variables, -zk, embedded[:, :4])
    expected = jnp.where(row[:, None, None], anew, straight)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_step_takes_one_column_whatever_came_before(key):
    decoder, variables, zk, embedded = make(key)
    carry = started(decoder, variables, zk, 50)
    assert {x.shape[:2] for x in jax.tree.leaves(carry.caches)} == {(B, 51)}
    step = partial(decoder.apply, variables, method="step")
    later, _ = step(carry, embedded[:, 0], zk)
    chex.assert_trees_all_equal_shapes_and_dtypes(later, carry)
    np.testing.assert_array_equal(carry.position, 1)
    np.testing.assert_array_equal(later.position, 2)


def test_inner_products_depend_on_the_distance_alone(key):
    query, key_ = jax.random.normal(key, (2, 1, 1, 1, 6))
    products = [
        jnp.sum(rotated(query, jnp.array([[a]])) * rotated(key_, jnp.array([[b]])))
        for a, b in ((5, 2), (103, 100))
    ]
    np.testing.assert_allclose(*products, rtol=1e-4)
    np.testing.assert_array_equal(rotated(query, jnp.zeros((1, 1))), query)


def test_derivatives_hold_in_both_modes(key, x64):
    decoder, variables, zk, embedded = make(key, jnp.float64)
    function = partial(applied, decoder)
    arguments = (variables, zk[:1], embedded[:1, :3])
    check_grads(function, arguments, order=1, modes=("fwd", "rev"), eps=1e-6)


def test_bfloat16_words_round_the_products_alone(key):
    decoder, variables, zk, embedded = make(key)
    narrow = embedded.astype(jnp.bfloat16)
    outputs = applied(decoder, variables, zk, narrow)
    assert outputs.dtype == jnp.bfloat16
    exact = applied(decoder, variables, zk, embedded)
    deviation = np.abs(outputs.astype(jnp.float32) - exact) / np.abs(exact).max()
    assert 1e-4 < deviation.max() < 6e-2
    carry, steps = stepped(decoder, variables, started(decoder, variables, zk), narrow, zk)
    chex.assert_type(jax.tree.leaves(carry.caches), jnp.float32)
    assert steps.dtype == jnp.bfloat16


def autoencoder():
    layers = (("num_heads", 2), ("num_layers", 1))
    return TextAutoencoder(
        vocab_size=11,
        embedding_dim=E,
        hidden_dim=H,
        latent_dim=Z,
        encoder_choice=Choice("transformer", layers),
        decoder_choice=Choice("transformer", layers),
        dropout=0.5,
    )


def test_layers_drop_by_example_and_by_place(key):
    """A sentence's masks are its own key's, whatever the batch; every place has another one."""
    model = autoencoder()
    tokens, lengths = jnp.array([[4, 5, 6], [4, 5, 6], [7, 8, 0]]), jnp.array([3, 3, 2])
    keys, where = jax.random.split(key, 3), jnp.ones(3, bool)
    init = jax.jit(partial(model.init, train=True))
    variables = init(key, tokens, lengths, keys, where=where)

    @partial(jax.jit, static_argnames="train")
    def nll(rows, train=True):
        out = model.apply(
            variables, tokens[rows], lengths[rows], keys[rows], where=where[rows], train=train
        )
        return out.nll

    rows = jnp.array([2, 0])
    np.testing.assert_allclose(nll(rows), nll(jnp.arange(3))[rows], atol=1e-5)
    assert abs(float(nll(rows)[0] - nll(rows, train=False)[0])) > 1e-3
    drop = model.bind(variables)._layer_dropout(keys)
    ones = jnp.ones((3, 200))
    first, second = drop(ones, 0), drop(ones, 1)
    assert set(np.unique(first)) == {0.0, 2.0}
    assert np.any(first != second)
    assert np.any(first[0] != first[1])
