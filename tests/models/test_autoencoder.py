"""The composed model: padding, keyed draws, the language model, and decoding step by step."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.choices import Choice
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID
from wae_rnf_jax.models.autoencoder import TextAutoencoder

V, B, L = 11, 3, 4
TOKENS = np.array([[4, 5, 6, 7], [8, 9, 0, 0], [10, 4, 5, 0]], np.int32)
LENGTHS = np.array([4, 2, 3], np.int32)
WHERE = jnp.ones(B, bool)
Z_EVERY_STEP = Choice("lstm", (("z_every_step", True),))
Z_OUTPUT = Choice("lstm", (("z_output", True),))
DILATED_CNN = Choice("dilated_cnn", (("dilations", (1, 2)),))
BATCH_NORM = Choice("gaussian", (("batch_norm", True),))


def build(key, **options):
    sizes = {"vocab_size": V, "embedding_dim": 5, "hidden_dim": 5, "latent_dim": 3}
    model = TextAutoencoder(**{**sizes, "cross_entropy_block": 8, **options})
    return model, *variables_and_keys(model, key)


@partial(jax.jit, static_argnames="model")
def variables_and_keys(model, key):
    keys = example_keys(key, jnp.arange(B))
    variables = model.init(key, TOKENS, LENGTHS, keys, where=WHERE, train=True)
    # Flows start as the identity and biases at zero: move every parameter off its start.
    leaves, structure = jax.tree.flatten(variables["params"])
    noise = [
        0.3 * jax.random.normal(k, x.shape)
        for k, x in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
    ]
    params = jax.tree.unflatten(structure, [x + n for x, n in zip(leaves, noise, strict=True)])
    return {**variables, "params": params}, keys


@partial(jax.jit, static_argnames=("model", "train"))
def forward(model, variables, keys, tokens=TOKENS, lengths=LENGTHS, *, train=False):
    return model.apply(
        variables,
        jnp.asarray(tokens),
        jnp.asarray(lengths),
        keys,
        where=jnp.ones(len(tokens), bool),
        train=train,
        mutable=["batch_stats"],
    )[0]


@partial(jax.jit, static_argnames=("model", "method"))
def applied(model, variables, *args, method):
    return model.apply(variables, *args, method=method)


RADIAL_TIED = {"num_flow_steps": 2, "flow": "radial", "tied_output": True}
OPTIONS = {
    "planar": {"num_flow_steps": 2},
    "radial_tied": {**RADIAL_TIED, "decoder_choice": Z_EVERY_STEP},
    "tied_by_projection": {"tied_output": True, "hidden_dim": 7, "decoder_choice": Z_OUTPUT},
    "own_embeddings": {"shared_embedding": False},
    "vmf_dilated_cnn": {"posterior_choice": Choice("vmf"), "decoder_choice": DILATED_CNN},
    "language_model": {"latent_dim": 0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_padding_changes_no_number(key, options):
    model, variables, keys = build(key, dropout=0.3, word_dropout=0.3, **options)
    padded = np.pad(TOKENS, ((0, 0), (0, 3)))
    short = forward(model, variables, keys)
    long = forward(model, variables, keys, padded)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), short, long)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_score_is_the_sum_of_the_decoders_steps(key, options):
    model, variables, keys = build(key, **options)
    zk = forward(model, variables, keys).zk
    nll = applied(model, variables, zk, TOKENS, LENGTHS, method="score")
    carry = applied(model, variables, zk, L + 1, method="start")
    last, total = np.full(B, BOS_ID, np.int32), np.zeros(B)
    for t in range(L + 1):
        carry, logits = applied(model, variables, carry, last, zk, method="decode_step")
        target = np.where(t < LENGTHS, TOKENS[:, min(t, L - 1)], np.where(t == LENGTHS, EOS_ID, 0))
        log_probs = np.asarray(jax.nn.log_softmax(logits))[np.arange(B), target]
        total -= np.where(t <= LENGTHS, log_probs, 0.0)
        last = target.astype(np.int32)
    np.testing.assert_allclose(nll, total, rtol=1e-5)


def test_a_tied_output_of_other_sizes_reads_the_embedding_through_a_projection(key):
    model, variables, keys = build(key, tied_output=True, hidden_dim=7)
    params = variables["params"]
    assert {k: x.shape for k, x in params["output_layer"].items()} == {
        "projection": (7, 5),
        "bias": (V,),
    }
    zk = forward(model, variables, keys).zk
    carry = applied(model, variables, zk, 1, method="start")
    (h, _), logits = applied(model, variables, carry, TOKENS[:, 0], zk, method="decode_step")
    expected = h @ params["output_layer"]["projection"] @ params["embedding"].T
    np.testing.assert_allclose(logits, expected + params["output_layer"]["bias"][None], atol=1e-5)


def test_many_codes_of_one_sentence_score_as_each_alone(key):
    model, variables, _ = build(key, decoder_choice=Z_EVERY_STEP)
    zk = jax.random.normal(key, (6, B, 3))
    score = partial(applied, model, variables, method="score")
    together = score(zk, TOKENS, LENGTHS)
    alone = [score(z, TOKENS, LENGTHS) for z in zk]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5)


def test_every_draw_belongs_to_its_example(key):
    model, variables, keys = build(key, dropout=0.5, word_dropout=0.5, num_flow_steps=1)
    order = np.array([2, 0, 1])
    straight = forward(model, variables, keys, train=True)
    permuted = forward(model, variables, keys[order], TOKENS[order], LENGTHS[order], train=True)
    for value in (lambda out: out.nll, lambda out: out.posterior.mean, lambda out: out.z0):
        np.testing.assert_allclose(value(straight)[order], value(permuted), atol=1e-5)
    other = forward(model, variables, example_keys(key, jnp.arange(B) + 7), train=True)
    assert not np.allclose(straight.nll, other.nll, rtol=1e-3)


def test_words_are_hidden_from_the_encoder_alone(key):
    """In training; each sentence's words by its own key, others than the decoder's."""
    model, variables, keys = build(key, encoder_word_dropout=0.5)
    plain, _, _ = build(key)
    hidden, shown = (forward(m, variables, keys, train=True) for m in (model, plain))
    assert not np.allclose(hidden.posterior.mean, shown.posterior.mean, atol=1e-4)
    scores = [
        jax.jit(partial(m.apply, method="score", train=True))(
            variables, shown.zk, TOKENS, LENGTHS, keys=keys
        )
        for m in (model, plain)
    ]
    np.testing.assert_array_equal(*scores)
    kept = forward(model, variables, keys)
    np.testing.assert_array_equal(kept.nll, forward(plain, variables, keys).nll)
    order = np.array([2, 0, 1])
    permuted = forward(model, variables, keys[order], TOKENS[order], LENGTHS[order], train=True)
    np.testing.assert_allclose(hidden.posterior.mean[order], permuted.posterior.mean, atol=1e-5)
    all_hidden = model.clone(encoder_word_dropout=0.999)
    changed = forward(all_hidden, variables, keys, np.where(TOKENS > 0, 4, 0), train=True)
    posterior = forward(all_hidden, variables, keys, train=True).posterior
    np.testing.assert_allclose(changed.posterior.mean, posterior.mean, atol=1e-6)


def test_dropout_is_of_training_alone(key):
    model, variables, keys = build(key, dropout=0.5, word_dropout=0.5, encoder_word_dropout=0.5)
    plain, _, _ = build(key)
    dropped = forward(model, variables, keys, train=True)
    kept = forward(model, variables, keys)
    without = forward(plain, variables, keys)
    np.testing.assert_allclose(kept.nll, without.nll, rtol=1e-6)
    assert not np.allclose(dropped.nll, kept.nll, rtol=1e-3)


def test_bfloat16_rounds_the_words_products_alone():
    """Loss and gradient deviate by little, though more than float32's; all else is float32."""
    key = jax.random.key(1)  # with 0, normalization divides by a spread that magnifies rounding
    exact, variables, keys = build(
        key, num_flow_steps=2, posterior_choice=BATCH_NORM, decoder_choice=Z_EVERY_STEP
    )
    rounded = exact.clone(dtype="bfloat16")

    @partial(jax.jit, static_argnums=1)
    @partial(jax.value_and_grad, has_aux=True)
    def value_and_gradient(params, model):
        out = forward(model, {**variables, "params": params}, keys, train=True)
        return out.nll.sum(), out

    (loss, out), gradient = value_and_gradient(variables["params"], rounded)
    (expected, _), of_exact = value_and_gradient(variables["params"], exact)
    chex.assert_type(jax.tree.leaves((out, gradient)), jnp.float32)
    assert 1e-6 < abs(loss / expected - 1) < 2e-3
    norms = [
        np.sqrt(sum(np.square(x).sum() for x in jax.tree.leaves(tree)))
        for tree in (jax.tree.map(jnp.subtract, gradient, of_exact), of_exact)
    ]
    assert 1e-4 < norms[0] / norms[1] < 5e-2
    of_flow = (applied(m, variables, out.z0, method="flow_forward") for m in (rounded, exact))
    jax.tree.map(np.testing.assert_array_equal, *of_flow)


def test_language_model_has_an_empty_code(key):
    model, variables, keys = build(key, latent_dim=0)
    out = forward(model, variables, keys)
    assert out.zk.shape == (B, 0)
    assert out.log_dets.shape == (0, B)
    assert set(variables["params"]) == {"embedding", "decoder", "output_layer"}


@pytest.mark.parametrize("flow", ["planar", "radial"])
def test_flow_of_the_model_is_inverted(key, flow):
    model, variables, _ = build(key, num_flow_steps=3, flow=flow)
    z0 = jax.random.normal(key, (5, 3))
    zk, log_det = applied(model, variables, z0, method="flow_forward")
    back, inverse_log_det = applied(model, variables, zk, method="flow_inverse")
    assert float(jnp.abs(zk - z0).max()) > 0.05
    np.testing.assert_allclose(back, z0, atol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-4)


def test_lengths_of_any_integer_dtype_count_alike(key):
    """A sentence of 127 words, the largest int8, has 128 steps."""
    model, variables, _ = build(key)
    tokens = np.tile(np.arange(127)[None] % 7 + 4, (B, 1)).astype(np.int32)
    lengths = np.array([127, 3, 90], np.int32)
    tokens[np.arange(127)[None] >= lengths[:, None]] = 0
    zk = jnp.ones((B, 3))
    for method, args in (("infer", (tokens,)), ("score", (zk, tokens))):
        wide, narrow = (
            model.apply(variables, *args, lengths.astype(dtype), method=method)
            for dtype in (np.int32, np.int8)
        )
        jax.tree.map(np.testing.assert_array_equal, wide, narrow)
