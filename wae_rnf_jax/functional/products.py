"""Matrix products of narrow operands, summed in float32, whose derivatives are products alike.

Letters: M rows, K summed, N columns; ``...`` any leading dimensions.

Left to automatic differentiation, the gradient of a product of bfloat16 matrices that is summed in
float32 multiplies a float32 cotangent with a bfloat16 matrix, which no processor does: both become
float32 first. Here cotangents are rounded as the operands were, so that all three products of a
training step are narrow. That takes an operation of its own, because a custom rule for reverse mode
alone would end forward mode, which the pulled-back metrics use.
"""

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from wae_rnf_jax.functional._arrays import match_varying


def matmul(x: jax.Array, y: jax.Array) -> jax.Array:
    """The product of x [..., K] and y [K, N], summed and returned in at least float32.

    Operands of one narrow dtype stay narrow, forward and backward; any others are multiplied as
    `jnp.matmul` does.
    """
    accumulator = jnp.result_type(x, y, jnp.float32)
    if x.dtype != y.dtype or x.dtype == accumulator:
        return jnp.matmul(x, y, preferred_element_type=accumulator)
    x, y = (match_varying(array, x, y) for array in (x, y))
    rows = _matmul_p.bind(x.reshape(-1, x.shape[-1]), y)
    return rows.reshape(*x.shape[:-1], y.shape[1])


def transposed(x: jax.Array) -> jax.Array:
    """The transpose of x [M, N], as an operand of products: [N, M].

    On a CPU a narrow matrix is copied: XLA multiplies narrow matrices at full speed only as they
    lie, and would convert one that is read across to float32.
    """
    if x.dtype.itemsize >= 4:
        return x.T
    return jax.lax.platform_dependent(x, cpu=_laid_out_transpose, default=jnp.transpose)


def _laid_out_transpose(x: jax.Array) -> jax.Array:
    return with_layout_constraint(x.T, Layout(major_to_minor=(0, 1)))


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x, y, preferred_element_type=jnp.float32)


_matmul_p = Primitive("narrow_matmul")

PRIMITIVES = ("dot_general", _matmul_p.name)
"""Names of the operations of a traced program that are matrix products."""

_matmul_p.def_impl(jax.jit(_product))
mlir.register_lowering(_matmul_p, mlir.lower_fun(_product, multiple_results=False))


@_matmul_p.def_abstract_eval
def _(x, y):
    return x.update(shape=(x.shape[0], y.shape[1]), dtype=jnp.dtype(jnp.float32))


def _transpose_of_x(cotangent, x, y):
    x = x.aval
    return _matmul_p.bind(cotangent.astype(x.dtype), transposed(y)).astype(x.dtype)


def _transpose_of_y(cotangent, x, y):
    y = y.aval
    return _matmul_p.bind(transposed(x), cotangent.astype(y.dtype)).astype(y.dtype)


ad.defbilinear(_matmul_p, _transpose_of_x, _transpose_of_y)


def _batched(arguments, axes):
    (x, y), (x_axis, y_axis) = arguments, axes
    if y_axis is None:  # more rows of the same product
        return matmul(jnp.moveaxis(x, x_axis, 0), y), 0
    y = jnp.moveaxis(y, y_axis, 0)
    if x_axis is not None:
        x = jnp.moveaxis(x, x_axis, 0)
    return _product(x, y), 0


batching.primitive_batchers[_matmul_p] = _batched
