"""The LSTM against a NumPy loop in double precision, and its carry at each row's length."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.models.initializers import INITIALIZERS
from wae_rnf_jax.models.lstm import LSTM

B, T, E, H, Z = 3, 5, 4, 6, 2


def numpy_lstm(params, carry, inputs, context):
    """H and c after every step, [B, T, H] each."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    p = {name: np.asarray(value, np.float64) for name, value in params.items()}
    h, c = (np.asarray(x, np.float64) for x in carry)
    hs, cs = [], []
    for t in range(inputs.shape[1]):
        gates = inputs[:, t] @ p["kernel"] + context @ p["context_kernel"]
        gates = gates + h @ p["recurrent_kernel"] + p["bias"]
        i, f, g, o = np.split(gates, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        hs.append(h)
        cs.append(c)
    return np.stack(hs, 1), np.stack(cs, 1)


@partial(jax.jit, static_argnames=("lstm", "method"))
def applied(lstm, variables, *args, method="__call__", **options):
    return lstm.apply(variables, *args, method=method, **options)


def make(key, x64_dtype):
    keys = jax.random.split(key, 5)
    lstm = LSTM(H, E, Z, INITIALIZERS["pytorch"])
    inputs = jax.random.normal(keys[0], (B, T, E), x64_dtype)
    context = jax.random.normal(keys[1], (B, Z), x64_dtype)
    carry = tuple(jax.random.normal(k, (B, H), x64_dtype) for k in keys[2:4])
    variables = lstm.init(keys[4], carry, inputs, context=context)
    variables = jax.tree.map(lambda x: x.astype(x64_dtype), variables)
    return lstm, variables, carry, inputs, context


def test_lstm_agrees_with_numpy_in_double_precision(key, x64):
    lstm, variables, carry, inputs, context = make(key, jnp.float64)
    (h, c), outputs = applied(lstm, variables, carry, inputs, context=context)
    hs, cs = numpy_lstm(variables["params"], carry, np.asarray(inputs), np.asarray(context))
    np.testing.assert_allclose(outputs, hs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(h, hs[:, -1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(c, cs[:, -1], rtol=0, atol=1e-12)


def test_carry_stops_at_each_rows_length(key, x64):
    lstm, variables, carry, inputs, context = make(key, jnp.float64)
    lengths = np.array([1, 3, 5])
    (h, c), _ = applied(lstm, variables, carry, inputs, context=context, lengths=lengths)
    hs, cs = numpy_lstm(variables["params"], carry, np.asarray(inputs), np.asarray(context))
    rows = np.arange(B)
    np.testing.assert_allclose(h, hs[rows, lengths - 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(c, cs[rows, lengths - 1], rtol=0, atol=1e-12)


def masked_loop(lstm, variables, carry, inputs, context, lengths):
    """The carry and the outputs, step by step, with the carry of an ended row kept."""
    outputs = []
    for t in range(T):
        new = lstm.apply(variables, carry, inputs[:, t], context, method="step")
        alive = (t < lengths)[:, None]
        carry = tuple(jnp.where(alive, *pair) for pair in zip(new, carry, strict=True))
        outputs.append(carry[0])
    return carry, jnp.stack(outputs, 1)


@pytest.mark.parametrize("lengths", [(1, 3, 5), (0, 2, 7)])
def test_with_lengths_values_and_gradients_are_those_of_a_masked_loop(key, x64, lengths):
    lstm, variables, carry, inputs, context = make(key, jnp.float64)
    lengths = jnp.asarray(lengths)

    def whole(*arguments):
        variables, carry, inputs, context = arguments
        return lstm.apply(variables, carry, inputs, context=context, lengths=lengths)

    def stepwise(*arguments):
        return masked_loop(lstm, *arguments, lengths)

    def with_gradients(function):
        def loss(*arguments):
            results = function(*arguments)
            return sum(jnp.sin(2 * x).sum() for x in jax.tree.leaves(results)), results

        derivative = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True))
        return derivative(variables, carry, inputs, context)

    actual, wanted = map(with_gradients, (whole, stepwise))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), actual, wanted)


def test_leading_axes_are_independent_runs_over_the_same_inputs(key):
    lstm, variables, carry, inputs, context = make(key, jnp.float32)
    other = tuple(-x for x in carry)
    both = tuple(jnp.stack(pair) for pair in zip(carry, other, strict=True))
    contexts = jnp.stack([context, 2 * context])
    _, outputs = applied(lstm, variables, both, inputs, context=contexts)
    _, first = applied(lstm, variables, carry, inputs, context=context)
    _, second = applied(lstm, variables, other, inputs, context=2 * context)
    np.testing.assert_allclose(outputs[0], first, atol=1e-6)
    np.testing.assert_allclose(outputs[1], second, atol=1e-6)


def test_single_steps_are_the_sequence(key):
    lstm, variables, carry, inputs, context = make(key, jnp.float32)
    _, outputs = applied(lstm, variables, carry, inputs, context=context)
    for t in range(T):
        carry = applied(lstm, variables, carry, inputs[:, t], context, method="step")
        np.testing.assert_allclose(carry[0], outputs[:, t], atol=1e-6)


def test_pytorch_initializers_have_pytorchs_ranges(key):
    family, hidden = INITIALIZERS["pytorch"], 64
    bound = hidden**-0.5
    kernel = family.lstm_kernel(hidden)(key, (40, 4 * hidden))
    bias = family.lstm_bias(hidden)(key, (4000,))
    embedding = family.embedding(key, (200, 50))
    assert bound * 0.98 < float(jnp.abs(kernel).max()) <= bound
    # The sum of two uniform biases: twice the bound, variance 2·bound²/3.
    assert bound * 1.9 < float(jnp.abs(bias).max()) <= 2 * bound
    np.testing.assert_allclose(bias.var(), 2 * bound**2 / 3, rtol=0.1)
    np.testing.assert_allclose(embedding.std(), 1.0, rtol=0.05)


def test_recurrent_weights_are_dropped_in_training_alike_for_all_rows_and_steps(key):
    lstm = LSTM(H, E, recurrent_dropout=0.5)
    start = (jnp.zeros((B, H)), jnp.zeros((B, H)))
    inputs = jnp.broadcast_to(jax.random.normal(key, (1, T, E)), (B, T, E))
    variables = lstm.init(key, start, inputs)
    whole, other = (
        LSTM(H, E, recurrent_dropout=rate).apply(variables, start, inputs)[1] for rate in (0.5, 0.0)
    )
    np.testing.assert_array_equal(whole, other)  # without a stream of keys

    def dropped(seed):
        rngs = {"weights": jax.random.key(seed)}
        return np.asarray(lstm.apply(variables, start, inputs, rngs=rngs)[1])

    first = dropped(1)
    np.testing.assert_array_equal(first, np.broadcast_to(first[:1], first.shape))
    np.testing.assert_array_equal(first[:, 0], whole[:, 0])  # from h = 0
    assert np.abs(first[:, 1:] - whole[:, 1:]).max() > 1e-3
    np.testing.assert_array_equal(dropped(1), first)
    assert np.any(dropped(2) != first)
    # What is dropped is the same at all steps: some kernel explains them all.
    kernel = variables["params"]["recurrent_kernel"]
    gradient = jax.grad(
        lambda k: jnp.square(
            lstm.apply(
                {"params": {**variables["params"], "recurrent_kernel": k}},
                start,
                inputs,
                rngs={"weights": jax.random.key(1)},
            )[1]
        ).sum()
    )(kernel)
    assert 0.35 < float((gradient == 0).mean()) < 0.65
