"""Products of narrow matrices, and their derivatives, against float64 and under transformations."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from wae_rnf_jax.functional.products import matmul, transposed

M, K, N = 6, 5, 4


def operands(dtype, key=0):
    x, y = (
        jax.random.normal(k, s)
        for k, s in zip(jax.random.split(jax.random.key(key)), ((M, K), (K, N)), strict=True)
    )
    return x.astype(dtype), y.astype(dtype)


def loss(x, y):
    return jnp.sum(jnp.sin(matmul(x, y)))


def exact(function, *arrays):
    return function(*(np.float64(array) for array in arrays))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_sums_are_float32(dtype):
    x, y = operands(dtype)
    product = matmul(x, y)
    assert product.dtype == jnp.float32
    np.testing.assert_allclose(product, exact(np.matmul, x, y), rtol=1e-5, atol=1e-6)


def test_of_float64_they_are_float64(x64):
    x, y = operands(jnp.float64)
    assert matmul(x, y).dtype == jnp.float64


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_gradients_are_products_of_narrow_matrices(dtype):
    x, y = operands(dtype)
    gradients = jax.jit(jax.grad(loss, (0, 1)))(x, y)
    x_, y_ = np.float64(x), np.float64(y)
    cotangent = np.cos(x_ @ y_)
    assert [g.dtype for g in gradients] == [dtype, dtype]
    for gradient, wanted in zip(gradients, (cotangent @ y_.T, x_.T @ cotangent), strict=True):
        error = np.linalg.norm(np.float64(gradient) - wanted) / np.linalg.norm(wanted)
        assert error < 2 * float(jnp.finfo(dtype).eps)
    program = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, y))
    assert program.count("narrow_matmul") == 3
    assert "dot_general" not in program


def test_forward_mode_and_second_derivatives_hold():
    x, y = operands(jnp.bfloat16)

    def of_scales(scales, product):
        return jnp.sum(jnp.sin(product((x * scales[:, None]).astype(x.dtype), y)))

    plain = partial(jnp.matmul, preferred_element_type=jnp.float32)
    scales = jnp.ones(M)
    for derivative in (jax.jacfwd, jax.jacrev, jax.hessian):
        ours, theirs = (derivative(of_scales)(scales, product) for product in (matmul, plain))
        np.testing.assert_allclose(ours, theirs, atol=0.05 * np.abs(theirs).max())


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 1)])
def test_under_vmap(axes):
    pairs = [operands(jnp.bfloat16, key) for key in range(3)]
    wanted, arguments = [], []
    for place, axis in enumerate(axes):
        one = [pair[place] for pair in pairs]
        arguments.append(one[0] if axis is None else jnp.stack(one, axis))
    for i in range(3):
        picked = (pairs[0 if axis is None else i][place] for place, axis in enumerate(axes))
        wanted.append(jax.value_and_grad(loss, (0, 1))(*picked))
    wanted = jax.tree.map(lambda *leaves: jnp.stack(leaves), *wanted)
    found = jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1)), axes))(*arguments)
    chex.assert_trees_all_close(found, wanted, rtol=0.02, atol=0.02)
    # The gradient of the sum, taken after vmap, is the same.
    total = jax.grad(lambda *pair: jax.vmap(loss, axes)(*pair).sum())(*arguments)
    by_example = (
        jnp.moveaxis(found[1][0], 0, axes[0]) if axes[0] is not None else found[1][0].sum(0)
    )
    chex.assert_trees_all_close(total, by_example, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("check_vma", [True, False])
def test_the_gradient_of_a_replicated_matrix_is_summed_over_devices(check_vma):
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    x, y = operands(jnp.bfloat16)

    def mean_gradient(x, y):
        gradient = jax.grad(lambda y: jax.lax.pmean(loss(x, y), "data"))(y)
        return jax.lax.pmean(gradient, "data")

    split = PartitionSpec("data")
    mapped = jax.shard_map(
        mean_gradient,
        mesh=mesh,
        in_specs=(split, PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=check_vma,
    )
    rows = jax.device_put(x, jax.NamedSharding(mesh, split))
    kernel = jax.device_put(y, jax.NamedSharding(mesh, PartitionSpec()))
    wanted = jax.grad(loss, 1)(x, y) / 2
    chex.assert_trees_all_close(jax.jit(mapped)(rows, kernel), wanted, rtol=0.02, atol=0.02)


def test_leading_axes_are_rows():
    x, y = operands(jnp.bfloat16)
    product = matmul(x.reshape(2, 3, K), y)
    np.testing.assert_array_equal(product.reshape(M, N), matmul(x, y))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_a_transpose_has_the_same_numbers(dtype):
    x, _ = operands(dtype)
    np.testing.assert_array_equal(jax.jit(transposed)(x), x.T)
    np.testing.assert_array_equal(transposed(x), x.T)
