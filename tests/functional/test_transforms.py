"""Every public function under every transformation that foreign code may use on it.

One table of (function, arguments) drives jit, no jit, pmap, vmap and shard_map. The values are
compared with the same function's in double precision (but where a random key would then draw
otherwise), gradients with finite differences of those.
"""

import inspect
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from jax.sharding import AxisType, PartitionSpec
from transform_cases import CASES, DIFFERENTIABLE, arguments

import wae_rnf_jax as wae

DEVICES = 4


def is_float(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def weighted_sum(results):
    """One number that every float result has a share in, each another."""
    leaves = [leaf for leaf in jax.tree.leaves(results) if is_float(leaf)]
    weights = [np.cos(np.arange(leaf.size)).reshape(leaf.shape) for leaf in leaves]
    terms = [jnp.sum(leaf * w.astype(leaf.dtype)) for leaf, w in zip(leaves, weights, strict=True)]
    return sum(terms, jnp.zeros(()))


def with_gradient(function):
    """(results, gradients of their weighted sum in the float arguments)."""

    def run(*args):
        leaves, structure = jax.tree.flatten(args)
        variables = [leaf for leaf in leaves if is_float(leaf)]

        def total(variables):
            rest = iter(variables)
            full = [next(rest) if is_float(leaf) else leaf for leaf in leaves]
            results = function(*jax.tree.unflatten(structure, full))
            return weighted_sum(results), results

        gradients, results = jax.grad(total, has_aux=True)(variables)
        return results, gradients

    return run


@cache
def jitted(name):
    return jax.jit(CASES[name].function)


@cache
def expected(name, seed):
    """Computed in double precision, unless the draws of a random key would then be others."""
    case = CASES[name]
    jax.config.update("jax_enable_x64", not case.keyed)
    try:
        dtype = np.float32 if case.keyed else np.float64
        return jax.device_get(jitted(name)(*arguments(case, seed, dtype)))
    finally:
        jax.config.update("jax_enable_x64", False)


@cache
def expected_slope(name, seed):
    """Derivative of the weighted sum as every float argument moves by its ``direction``."""
    case = CASES[name]
    jax.config.update("jax_enable_x64", not case.keyed)
    try:
        args = arguments(case, seed, np.float32 if case.keyed else np.float64)
        step = 1e-2 if case.keyed else 1e-6
        ahead, behind = (weighted_sum(jitted(name)(*moved(args, h))) for h in (step, -step))
        return float(ahead - behind) / (2 * step)
    finally:
        jax.config.update("jax_enable_x64", False)


def moved(args, step):
    return jax.tree.map(
        lambda leaf: leaf + step * direction(leaf) if is_float(leaf) else leaf, args
    )


def direction(leaf):
    return np.sin(1 + np.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype)


def assert_close(actual, desired):
    for leaf in filter(is_float, jax.tree.leaves(actual)):
        assert leaf.dtype == np.float32
    chex.assert_trees_all_close(jax.device_get(actual), desired, rtol=2e-4, atol=2e-5)


def assert_gradients_close(gradients, slope):
    slopes = [np.sum(np.float64(leaf) * direction(leaf)) for leaf in gradients]
    size = sum(np.sum(np.abs(np.float64(leaf))) for leaf in gradients)
    assert np.isfinite(size)
    np.testing.assert_allclose(sum(slopes), slope, rtol=1e-3, atol=1e-4 * size)


def test_every_public_function_has_a_case():
    functions = {name for name in wae.__all__ if inspect.isfunction(getattr(wae, name))}
    assert functions == set(CASES)


class VariantsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    @parameterized.named_parameters(*((name, name) for name in CASES))
    def test_value(self, name):
        assert jax.device_count() >= DEVICES
        function = self.variant(CASES[name].function)
        assert_close(function(*arguments(CASES[name], seed=0)), expected(name, 0))


def stacked(name):
    """Arguments of as many examples as there are devices."""
    examples = [arguments(CASES[name], seed) for seed in range(DEVICES)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *examples)


def unstacked(results):
    leaves, structure = jax.tree.flatten(jax.device_get(results))
    return [jax.tree.unflatten(structure, row) for row in zip(*leaves, strict=True)]


def sharded(function, specs):
    """The function of one example per device, in shard_map with its default checks."""
    mesh = jax.make_mesh((DEVICES,), ("i",), axis_types=(AxisType.Auto,))

    def local(*args):
        args = [
            jax.tree.map(lambda leaf: leaf[0], arg) if spec else arg
            for arg, spec in zip(args, specs, strict=True)
        ]
        return jax.tree.map(lambda leaf: leaf[None], function(*args))

    return jax.jit(
        jax.shard_map(local, mesh=mesh, in_specs=tuple(specs), out_specs=PartitionSpec("i"))
    )


def assert_examples_are_right(name, results):
    """Each example's results and, where there are any, its gradients."""
    for seed, result in enumerate(unstacked(results)):
        if name in DIFFERENTIABLE:
            result, gradients = result
            assert_gradients_close(gradients, expected_slope(name, seed))
        assert_close(result, expected(name, seed))


def with_gradient_if_any(name):
    function = CASES[name].function
    return with_gradient(function) if name in DIFFERENTIABLE else function


@pytest.mark.parametrize("name", CASES)
def test_vmap(name):
    function = jax.jit(jax.vmap(with_gradient_if_any(name)))
    assert_examples_are_right(name, function(*stacked(name)))


@pytest.mark.parametrize("name", CASES)
def test_shard_map(name):
    examples = stacked(name)
    function = sharded(with_gradient_if_any(name), [PartitionSpec("i")] * len(examples))
    assert_examples_are_right(name, function(*examples))


@pytest.mark.parametrize("name", [name for name in CASES if len(CASES[name].arguments) > 1])
def test_shard_map_with_some_arguments_replicated(name):
    """Only the first argument differs between devices, then only the others.

    Tracing tells whether the types agree, so nothing is run.
    """
    one = arguments(CASES[name], seed=0)
    function = with_gradient_if_any(name)
    shapes = jax.eval_shape(function, *one)
    for first_differs in (True, False):
        specs = [
            PartitionSpec("i") if (i == 0) == first_differs else PartitionSpec()
            for i in range(len(one))
        ]
        args = [
            jax.tree.map(lambda leaf: jnp.stack([leaf] * DEVICES), arg) if spec else arg
            for arg, spec in zip(one, specs, strict=True)
        ]
        results = jax.eval_shape(sharded(function, specs), *args)
        for result, shape in zip(*map(jax.tree.leaves, (results, shapes)), strict=True):
            assert result.shape == (DEVICES, *shape.shape)
