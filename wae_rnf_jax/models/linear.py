"""Products of narrow operands, summed in at least float32.

Shapes: ``...`` any leading dimensions, I and O features in and out.
"""

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.products import matmul


def product(x: jax.Array, kernel: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Args: x [..., I]; kernel [I, O]; dtype of the operands. Returns [..., O], wide."""
    return matmul(x.astype(dtype), kernel.astype(dtype))


def linear(x: jax.Array, kernel: jax.Array, bias: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Args: x [..., I]; kernel [I, O]; bias [O]; dtype of the operands. Returns [..., O], wide."""
    result = product(x, kernel, dtype)
    return result + jnp.broadcast_to(bias, result.shape)
