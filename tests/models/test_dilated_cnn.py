"""The dilated CNN against a NumPy loop, one column a step, what it sees, and how it is refilled."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decoder_steps import applied, started, stepped
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

from wae_rnf_jax.functional.products import PRIMITIVES
from wae_rnf_jax.models.decoders.dilated_cnn import DilatedCNN
from wae_rnf_jax.models.initializers import INITIALIZERS

B, T, E, H, INNER, Z = 3, 11, 4, 6, 5, 2
DILATIONS = (1, 2, 4, 8)  # a tap at 2·8 lies before the first word, everywhere
STACKS = {
    "scnn": ((1, 2, 4), 15),
    "mcnn": ((1, 2, 4, 8, 16), 63),
    "lcnn": ((1, 2, 4, 8, 16) * 2, 125),
    "vlcnn": ((1, 2, 4, 8, 16) * 3, 187),
}


def make(key, dtype=jnp.float32, **options):
    """A decoder, its parameters well away from zero, codes [B, Z] and embedded words [B, T, E]."""
    sizes = {"embedding_dim": E, "hidden_dim": H, "latent_dim": Z, "internal_dim": INNER}
    options = {"initializers": INITIALIZERS["pytorch"], "dilations": DILATIONS, **options}
    decoder = DilatedCNN(**{**sizes, **options})
    keys = jax.random.split(key, 3)
    zk = jax.random.normal(keys[0], (B, decoder.latent_dim), dtype)
    embedded = jax.random.normal(keys[1], (B, T, E), dtype)
    variables = jax.jit(decoder.init)(keys[2], zk, embedded)
    return decoder, jax.tree.map(lambda x: 2 * x.astype(dtype), variables), zk, embedded


def numpy_decoder(params, dilations, zk, embedded):
    """SPEC section 9, position by position, with [embedding, code] concatenated."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    first = np.concatenate([p["word_kernel"], p["code_kernel"]])
    codes = np.broadcast_to(zk[:, None], (*embedded.shape[:2], zk.shape[-1]))
    x = np.concatenate([embedded, codes], axis=-1) @ first + p["bias"]
    for i, dilation in enumerate(dilations):
        b = p[f"blocks_{i}"]
        inner = np.maximum(np.maximum(x, 0) @ b["narrowing_kernel"] + b["narrowing_bias"], 0)
        convolved = np.zeros_like(inner) + b["bias"]
        for t in range(x.shape[1]):
            for tap in range(3):
                earlier = t - (2 - tap) * dilation
                if earlier >= 0:
                    convolved[:, t] += inner[:, earlier] @ b["kernel"][tap]
        x = x + np.maximum(convolved, 0) @ b["widening_kernel"] + b["widening_bias"]
    return x


def test_agrees_with_numpy_in_double_precision(key, x64):
    decoder, variables, zk, embedded = make(key, jnp.float64)
    outputs = applied(decoder, variables, zk, embedded)
    expected = numpy_decoder(variables["params"], DILATIONS, np.asarray(zk), np.asarray(embedded))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("latent_dim", [Z, 0])
def test_single_steps_are_all_positions_at_once(key, latent_dim):
    decoder, variables, zk, embedded = make(key, latent_dim=latent_dim)
    _, outputs = stepped(decoder, variables, started(decoder, variables, zk), embedded, zk)
    np.testing.assert_allclose(outputs, applied(decoder, variables, zk, embedded), atol=1e-5)


def test_leading_axes_are_other_codes_of_the_same_sentences(key):
    decoder, variables, _, embedded = make(key)
    zk = jax.random.normal(key, (2, 4, B, Z))
    outputs = applied(decoder, variables, zk, embedded)
    assert outputs.shape == (2, 4, B, T, H)
    for i in range(2):
        for j in range(4):
            alone = applied(decoder, variables, zk[i, j], embedded)
            np.testing.assert_allclose(outputs[i, j], alone, atol=1e-5)


def test_codes_share_the_product_with_the_words(key):
    decoder, variables, _, embedded = make(key)
    for lead in [(), (7,), (2, 7)]:
        zk = jnp.ones((*lead, B, Z))
        of_words = [p for p in products(decoder.apply, variables, zk, embedded) if p.inner == E]
        assert [p.rows for p in of_words] == [B * T]


class Product:
    """Sizes and dtypes of one matrix product, rows by inner by columns."""

    def __init__(self, equation):
        left, right = (v.aval for v in equation.invars)
        contracted = 1
        if equation.primitive.name == "dot_general":
            ((contracted,), _), batch = equation.params["dimension_numbers"]
            assert batch == ((), ())
        self.inner = left.shape[contracted]
        self.rows, self.columns = left.size // self.inner, right.size // self.inner
        self.operands, self.result = {left.dtype, right.dtype}, equation.outvars[0].aval.dtype


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def products(function, *args):
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    return [Product(e) for e in equations(jaxpr) if e.primitive.name in PRIMITIVES]


def test_a_place_can_be_refilled_while_the_others_go_on(key):
    decoder, variables, zk, embedded = make(key)
    new_zk, new_embedded = -zk, embedded[:, ::-1]
    refilled = {1: 3, 2: 7}  # row: steps before it starts anew
    carry, outputs = started(decoder, variables, zk), []
    for t in range(T):
        fresh = jnp.array([refilled.get(row) == t for row in range(B)])
        carry = jax.tree.map(
            lambda new, old, fresh=fresh: jnp.where(
                fresh.reshape(-1, *[1] * (old.ndim - 1)), new, old
            ),
            started(decoder, variables, new_zk),
            carry,
        )
        begins = [refilled.get(row, T) for row in range(B)]
        words = jnp.stack(
            [embedded[r, t] if t < b else new_embedded[r, t - b] for r, b in enumerate(begins)]
        )
        codes = jnp.stack([zk[r] if t < b else new_zk[r] for r, b in enumerate(begins)])
        carry, output = applied(decoder, variables, carry, words, codes, method="step")
        outputs.append(output)
    outputs = jnp.stack(outputs, 1)
    straight = applied(decoder, variables, zk, embedded)
    anew = applied(decoder, variables, new_zk, new_embedded)
    np.testing.assert_allclose(outputs[0], straight[0], atol=1e-5)
    for row, begin in refilled.items():
        np.testing.assert_allclose(outputs[row, :begin], straight[row, :begin], atol=1e-5)
        np.testing.assert_allclose(outputs[row, begin:], anew[row, : T - begin], atol=1e-5)


@pytest.mark.parametrize("name", STACKS)
def test_an_output_depends_on_its_receptive_field_alone(name):
    """With all parameters and words positive, no ReLU and no cancellation hides a dependence."""
    dilations, field = STACKS[name]
    decoder = DilatedCNN(1, 2, 1, dilations=dilations)
    num_steps, position = field + 9, field + 4
    zk, embedded = jnp.ones((1, 1)), jnp.ones((1, num_steps, 1))
    shapes = jax.eval_shape(decoder.init, jax.random.key(0), zk, embedded)
    variables = jax.tree.map(lambda x: jnp.full(x.shape, 0.4), shapes)

    def output(embedded):
        return decoder.apply(variables, zk, embedded)[0, position].sum()

    gradient = jax.jit(jax.grad(output))(embedded)[0, :, 0]
    reached = np.arange(num_steps)
    reached = (position - field < reached) & (reached <= position)
    np.testing.assert_array_equal(gradient != 0, reached)


def test_no_later_word_changes_an_output(key):
    decoder, variables, zk, embedded = make(key)
    jacobian = jax.jit(
        jax.jacrev(lambda embedded: decoder.apply(variables, zk[:1], embedded[None])[0])
    )(embedded[0])
    influence = np.abs(jacobian).max((1, 3))  # [T of outputs, T of words]
    assert not np.triu(influence, 1).any()
    assert np.all(np.diag(influence) > 0)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_padding_changes_nothing_before_it(key, length):
    """Nor does its absence, though a short sentence's early taps are left out."""
    decoder, variables, zk, embedded = make(key)
    whole = applied(decoder, variables, zk, embedded)[:, :length]
    other = applied(decoder, variables, zk, embedded.at[:, length:].set(7.0))[:, :length]
    alone = applied(decoder, variables, zk, embedded[:, :length])
    np.testing.assert_array_equal(whole, other)
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_a_step_costs_one_column_whatever_the_length(key):
    decoder, variables, zk, embedded = make(key)
    carry = started(decoder, variables, zk)
    chex.assert_trees_all_equal(carry, started(decoder, variables, zk, 1000))
    assert [x.shape for x in carry] == [(B, 2 * d, INNER) for d in DILATIONS]
    step = partial(decoder.apply, variables, method="step")
    later, _ = step(carry, embedded[:, 0], zk)
    chex.assert_trees_all_equal_shapes_and_dtypes(later, carry)
    loops = {"while", "scan", "cond"}
    jaxpr = jax.make_jaxpr(step)(carry, embedded[:, 0], zk).jaxpr
    assert not loops & {e.primitive.name for e in equations(jaxpr)}
    one_row = E * H + Z * H + len(DILATIONS) * (2 * H * INNER + 3 * INNER**2)
    counted = products(step, carry, embedded[:, 0], zk)
    assert sum(p.rows * p.inner * p.columns for p in counted) == B * one_row


def test_language_model_has_no_code(key):
    decoder, variables, zk, embedded = make(key, latent_dim=0)
    assert zk.shape == (B, 0)
    assert "code_kernel" not in variables["params"]
    outputs = applied(decoder, variables, jnp.zeros((2, B, 0)), embedded)
    expected = applied(decoder, variables, zk, embedded)
    np.testing.assert_allclose(outputs, jnp.stack([expected, expected]), atol=1e-6)


def test_bfloat16_words_round_the_products_alone(key):
    decoder, variables, zk, embedded = make(key)
    narrow = embedded.astype(jnp.bfloat16)
    outputs = applied(decoder, variables, zk, narrow)
    assert outputs.dtype == jnp.bfloat16
    exact = applied(decoder, variables, zk, embedded)
    deviation = np.abs(outputs.astype(jnp.float32) - exact) / np.abs(exact).max()
    assert 1e-4 < deviation.max() < 3e-2
    carry = started(decoder, variables, zk)
    carry, steps = stepped(decoder, variables, carry, narrow, zk)
    chex.assert_type(jax.tree.leaves(carry), jnp.float32)
    assert steps.dtype == jnp.bfloat16
    np.testing.assert_allclose(*(x.astype(jnp.float32) for x in (steps, outputs)), atol=2e-2)
    of_code, *of_words = sorted(
        products(decoder.apply, variables, zk, narrow), key=lambda p: p.inner != Z
    )
    assert of_code.operands == {jnp.dtype(jnp.float32)}
    assert {(*p.operands, p.result) for p in of_words} == {
        (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float32))
    }


def test_derivatives_hold_in_both_modes(key, x64):
    decoder, variables, zk, embedded = make(key, jnp.float64, dilations=(1, 2))
    zk, embedded = zk[:1], embedded[:1, :4]
    function = partial(applied, decoder)
    check_grads(function, (variables, zk, embedded), order=1, modes=("fwd", "rev"), eps=1e-6)
    many = jnp.stack([zk, 2 * zk, -zk])
    mapped = jax.vmap(lambda z: function(variables, z, embedded))(many)
    np.testing.assert_allclose(mapped, function(variables, many, embedded), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("family", INITIALIZERS)
def test_fifteen_blocks_start_close_to_the_first_layer(key, family):
    """Each block adds little at first, so outputs do not grow; yet no parameter is cut off."""
    decoder = DilatedCNN(24, 24, 8, INITIALIZERS[family], dilations=STACKS["vlcnn"][0])
    zk, embedded = jax.random.normal(key, (8, 8)), jax.random.normal(key, (8, 40, 24))
    variables = decoder.init(key, zk[:1], embedded[:1, :1])
    chex.assert_type(jax.tree.leaves(variables), jnp.float32)
    assert variables["params"]["blocks_14"]["kernel"].shape == (3, 12, 12)

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def gradient_and_spread(variables):
        outputs = decoder.apply(variables, zk, embedded)
        return jnp.square(outputs).mean(), outputs.std()

    gradient, spread = gradient_and_spread(variables)
    first = applied(decoder.clone(dilations=()), variables, zk, embedded)
    assert 1 < spread / first.std() < 1.5
    chex.assert_tree_all_finite(gradient)
    assert all(np.any(g) for g in jax.tree.leaves(gradient))
