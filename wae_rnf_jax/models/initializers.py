"""Weight initializers by family: the defaults, and PyTorch's for the paper's settings."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import initializers as jax_initializers

Initializer = Callable[..., jax.Array]


def symmetric_uniform(bound: float) -> Initializer:
    """Returns an initializer that draws from U(-bound, bound)."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Initializers(NamedTuple):
    """One family of initializers; each function takes the sizes PyTorch's rules depend on."""

    embedding: Initializer
    lstm_kernel: Callable[[int], Initializer]  # hidden size -> input kernel [E, 4H]
    lstm_recurrent_kernel: Callable[[int], Initializer]  # hidden size -> kernel [H, 4H]
    lstm_bias: Callable[[int], Initializer]  # hidden size -> bias [4H]
    dense_kernel: Callable[[int], Initializer]  # fan-in -> kernel [in, out]
    dense_bias: Callable[[int], Initializer]  # fan-in -> bias [out]


def _inverse_root(size: int) -> float:
    return size**-0.5


def _lstm_bias_pair(hidden: int) -> Initializer:
    # PyTorch's LSTM has two bias vectors that are always added: draw both, keep the sum.
    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        bound = _inverse_root(hidden)
        return jax.random.uniform(key, (2, *shape), dtype, -bound, bound).sum(0)

    return init


def _recurrent_orthogonal(hidden: int) -> Initializer:
    # One orthogonal block a gate, as every framework's LSTM has it.
    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        blocks = [
            jax_initializers.orthogonal()(gate_key, (hidden, hidden), dtype)
            for gate_key in jax.random.split(key, shape[1] // hidden)
        ]
        return jnp.concatenate(blocks, axis=1)

    return init


DEFAULT = Initializers(
    embedding=symmetric_uniform(0.1),
    lstm_kernel=lambda hidden: jax_initializers.xavier_uniform(),
    lstm_recurrent_kernel=_recurrent_orthogonal,
    lstm_bias=lambda hidden: jax_initializers.zeros,
    dense_kernel=lambda fan_in: symmetric_uniform(_inverse_root(fan_in)),
    dense_bias=lambda fan_in: jax_initializers.zeros,
)

PYTORCH = Initializers(
    embedding=jax_initializers.normal(1.0),
    lstm_kernel=lambda hidden: symmetric_uniform(_inverse_root(hidden)),
    lstm_recurrent_kernel=lambda hidden: symmetric_uniform(_inverse_root(hidden)),
    lstm_bias=_lstm_bias_pair,
    dense_kernel=lambda fan_in: symmetric_uniform(_inverse_root(fan_in)),
    dense_bias=lambda fan_in: symmetric_uniform(_inverse_root(fan_in)),
)

INITIALIZERS = {"default": DEFAULT, "pytorch": PYTORCH}
