"""The recurrence of a long short-term memory over a whole sequence, with a derivative of its own.

Letters: T time steps, B batch, H hidden units. Gates stand in the order i, f, g, o.

Left to automatic differentiation, the loop back through time adds up the recurrent kernel's
gradient, [H, 4H] numbers read and written at every step. But a change of the states obeys a linear
recurrence, whose coefficients are known for all steps at once, and in which the kernel's own change
is one product before the loop. That is the rule given here. Transposed, as reverse mode does, it is
a loop that passes on the states' gradients alone, and one product for the kernel's after it.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import match_varying, widened
from wae_rnf_jax.functional.products import matmul


def lstm_states(
    input_gates: jax.Array,
    constant_gates: jax.Array,
    recurrent_kernel: jax.Array,
    h: jax.Array,
    c: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """States of a long short-term memory (Hochreiter & Schmidhuber 1997) after every step.

    Products with h run in the dtype of the recurrent kernel, and are summed in float32 where that
    is narrower; all else is in that of c, or in float32. Forward and reverse mode both hold;
    leading axes run the same inputs from other starts.

    Args:
      input_gates: floating [T, B, 4H], what each step's input adds to the gates.
      constant_gates: floating [4H] or [..., B, 4H], what is added at every step.
      recurrent_kernel: floating [H, 4H].
      h: floating [..., B, H], the output to start from.
      c: floating [..., B, H], the cell to start from.

    Returns:
      h and c after every step, each [T, ..., B, H] and of the dtype that it starts with.

    Raises:
      AssertionError: shapes that do not agree, or arrays that are not floating.

    >>> start = jnp.zeros((1, 1))
    >>> hs, cs = lstm_states(jnp.ones((2, 1, 4)), jnp.zeros(4), jnp.ones((1, 4)), start, start)
    >>> [round(value, 3) for value in hs.ravel().tolist()]
    [0.37, 0.651]
    """
    chex.assert_type([input_gates, constant_gates, recurrent_kernel, h, c], float)
    chex.assert_equal_shape([h, c])
    if h.ndim < 2:
        raise AssertionError(f"h and c must be [..., B, H], got rank {h.ndim}.")
    chex.assert_shape(recurrent_kernel, (h.shape[-1], 4 * h.shape[-1]))
    chex.assert_shape(input_gates, (None, h.shape[-2], recurrent_kernel.shape[1]))
    arrays = (*widened((input_gates, constant_gates)), recurrent_kernel, *widened((h, c)))
    hs, cs = _states(*(match_varying(array, *arrays) for array in arrays))
    return hs.astype(h.dtype), cs.astype(c.dtype)


@jax.custom_jvp
def _states(*arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _run(*arrays)[:2]


def _run(input_gates, constant_gates, kernel, h, c):
    """The states, and the four activated gates, each [T, ..., B, H]."""
    shape = (*h.shape[:-1], kernel.shape[1])

    def step(carry, input_gates):
        gates = jnp.broadcast_to(input_gates, shape) + jnp.broadcast_to(constant_gates, shape)
        i, f, g, o = jnp.split(_recurrent(carry[0], kernel) + gates, 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        c = f * carry[1] + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, (i, f, g, o))

    return jax.lax.scan(step, (h, c), input_gates)[1]


@_states.defjvp
def _states_jvp(primals, tangents):
    _, _, kernel, *starts = primals
    hs, cs, (i, f, g, o) = _run(*primals)
    h_before, c_before = (
        jnp.concatenate([start[None], states[:-1]])
        for start, states in zip(starts, (hs, cs), strict=True)
    )
    squashed = jnp.tanh(cs)
    to_c = (g * i * (1 - i), c_before * f * (1 - f), i * (1 - g**2))
    to_h = (squashed * o * (1 - o), o * (1 - squashed**2))

    def step(carry, at_step):
        h_change, c_change = carry
        gates_change, f, (from_i, from_f, from_g), (from_o, from_c) = at_step
        gates_change = gates_change + _recurrent(h_change, kernel)
        i, f_gate, g, o = jnp.split(gates_change, 4, axis=-1)
        c_change = f * c_change + from_i * i + from_f * f_gate + from_g * g
        h_change = from_o * o + from_c * c_change
        return (h_change, c_change), (h_change, c_change)

    input_change, constant_change, kernel_change, *start_changes = tangents
    # As one list of rows: of more axes XLA would transpose a copy for the kernel's gradient.
    gates_change = _recurrent(h_before.reshape(-1, h_before.shape[-1]), kernel_change)
    gates_change = gates_change.reshape(*hs.shape[:-1], -1)
    for change in (_per_start(input_change, hs), constant_change):
        gates_change = gates_change + jnp.broadcast_to(change, gates_change.shape)
    _, changes = jax.lax.scan(step, tuple(start_changes), (gates_change, f, to_c, to_h))
    return (hs, cs), changes


def _recurrent(h: jax.Array, kernel: jax.Array) -> jax.Array:
    """Rows h [..., H] times the kernel [H, 4H], in the dtype of the kernel; as wide as h."""
    return matmul(h.astype(kernel.dtype), kernel).astype(h.dtype)


def _per_start(gates: jax.Array, states: jax.Array) -> jax.Array:
    """Gives [T, B, 4H] an axis of one for each leading axis of states [T, ..., B, H]."""
    num_steps, batch, width = gates.shape
    return gates.reshape(num_steps, *(1,) * (states.ndim - 3), batch, width)
