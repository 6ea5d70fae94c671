"""The LSTM's recurrence against a loop that JAX differentiates, forward, in reverse and twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae

T, B, H, S = 5, 3, 4, 2
NAMES = ("input_gates", "constant_gates", "recurrent_kernel", "h", "c")


def make(leading=(), constant=(), dtype=np.float64):
    rng = np.random.default_rng(0)
    rows = (*leading, B)
    shapes = ((T, B, 4 * H), (*constant, 4 * H), (H, 4 * H), (*rows, H), (*rows, H))
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def plain(input_gates, constant_gates, recurrent_kernel, h, c):
    """The same in a loop of elementary operations."""
    states = []
    for gates in input_gates:
        shape = (*h.shape[:-1], 4 * H)
        total = jnp.broadcast_to(gates, shape) + jnp.broadcast_to(constant_gates, shape)
        i, f, g, o = jnp.split(total + h @ recurrent_kernel, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        states.append((h, c))
    return tuple(jnp.stack(state) for state in zip(*states, strict=True))


def assert_close(actual, wanted, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, wanted)


CASES = {
    "no leading axes": make,
    "one constant for all": lambda: make((S,)),
    "a constant for each start": lambda: make((S,), (S, B)),
}


def derivatives(function, arrays):
    """The states, their changes along a direction, and the gradients of a sum of their products."""
    states, changes = jax.jvp(function, arrays, [jnp.cos(array) for array in arrays])

    def loss(arrays):
        h, c = function(*arrays)
        return (h * jnp.cos(3 * c)).sum()

    return states, changes, jax.grad(loss)(arrays)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES)
def test_states_and_derivatives_are_those_of_the_plain_loop(case):
    actual, wanted = (
        jax.jit(derivatives, static_argnums=0)(function, CASES[case]())
        for function in (wae.lstm_states, plain)
    )
    assert_close(actual, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.usefixtures("x64")
def test_second_derivatives_are_those_of_the_plain_loop():
    def curvature(function, arrays):
        def slope(arrays):
            gradient = jax.grad(lambda arrays: jnp.square(function(*arrays)[0]).sum())(arrays)
            return sum(jnp.vdot(jnp.cos(x), x) for x in gradient)

        return jax.grad(slope)(arrays)

    actual, wanted = (
        jax.jit(curvature, static_argnums=0)(function, make())
        for function in (wae.lstm_states, plain)
    )
    assert_close(actual, wanted, rtol=1e-10, atol=1e-12)


def test_gradient_of_the_kernel_is_one_product_outside_the_loops():
    """No loop carries or stacks anything of the kernel's size, [H, 4H]."""
    arrays = make(dtype=np.float32)

    def loss(arrays):
        return wae.lstm_states(*arrays)[0].sum()

    equations = jax.make_jaxpr(jax.grad(loss))(arrays).jaxpr.eqns
    loops = [equation for equation in equations if equation.primitive.name == "scan"]
    assert len(loops) == 2
    shapes = [result.aval.shape for loop in loops for result in loop.outvars]
    assert not [shape for shape in shapes if shape[-2:] == (H, 4 * H)]


def test_with_a_bfloat16_kernel_the_products_alone_are_rounded():
    arrays = make(dtype=np.float32)
    place = NAMES.index("recurrent_kernel")
    narrow = list(arrays)
    narrow[place] = arrays[place].astype(jnp.bfloat16)
    rounded, exact = (derivatives(wae.lstm_states, inputs) for inputs in (narrow, arrays))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(rounded[:2]))
    assert [gradient.dtype for gradient in rounded[2]] == [array.dtype for array in narrow]
    for actual, wanted in zip(*map(jax.tree.leaves, (rounded, exact)), strict=True):
        error = np.linalg.norm(np.float64(actual) - np.float64(wanted)) / np.linalg.norm(wanted)
        assert 1e-5 < error < 3e-2


def test_shapes_that_do_not_agree_are_refused():
    arrays = dict(zip(NAMES, make(dtype=np.float32), strict=True))
    for name, wrong in (
        ("input_gates", jnp.zeros((T, B, 3 * H))),
        ("input_gates", jnp.zeros((T, B + 1, 4 * H))),
        ("recurrent_kernel", jnp.zeros((H + 1, 4 * H))),
        ("c", jnp.zeros((B, H + 1))),
    ):
        with pytest.raises(AssertionError):
            wae.lstm_states(**{**arrays, name: wrong})
