"""In 64-bit mode the functions keep the precision of their arguments, double or single."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transform_cases import CASES, DIFFERENTIABLE, arguments

pytestmark = pytest.mark.usefixtures("x64")


def float_dtypes(tree):
    leaves = jax.tree.leaves(tree)
    return {leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_results_have_the_precision_of_the_arguments(name, dtype):
    args = arguments(CASES[name], 0, dtype)
    if not float_dtypes(args):
        pytest.skip("it takes no floating argument")
    assert float_dtypes(jax.eval_shape(CASES[name].function, *args)) <= {np.dtype(dtype)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_have_it_too(name, dtype):
    leaves, structure = jax.tree.flatten(arguments(CASES[name], 0, dtype))
    places = [i for i, leaf in enumerate(leaves) if float_dtypes(leaf)]

    def total(variables):
        changed = dict(zip(places, variables, strict=True))
        full = [changed.get(i, leaf) for i, leaf in enumerate(leaves)]
        results = jax.tree.leaves(CASES[name].function(*structure.unflatten(full)))
        return sum((x.sum() for x in results if float_dtypes(x)), jnp.zeros((), dtype))

    gradients = jax.eval_shape(jax.grad(total), [leaves[i] for i in places])
    assert float_dtypes(gradients) == {np.dtype(dtype)}
