"""Drawn arrays of any shape, dtype and size of numbers, given to the public functions."""

import warnings
from contextlib import suppress
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transform_cases import CASES, arguments

pytestmark = pytest.mark.fuzz
bounded = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DTYPES = ("float32", "float16", "bfloat16", "int32", "int8", "uint32", "bool", "complex64")
# The cases compute with what they are given before they call, or a direction of 0 is none.
OF_OTHER_SHAPES = set(CASES) - {"metric_log_magnification"}
OF_ANY_NUMBERS = set(CASES) - {
    *("mutual_information", "slerp", "vmf_log_prob", "vmf_sample"),
    "wishart_log_bias",  # of at least Z terms
}


def is_float(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


@cache
def jitted(name):
    return jax.jit(CASES[name].function)


@pytest.mark.parametrize("name", sorted(OF_OTHER_SHAPES))
@bounded
@given(data=st.data())
def test_arrays_of_any_shape_and_dtype_are_taken_or_refused(name, data):
    """Wrong arrays are AssertionErrors, wrong values ValueErrors, and nothing else is raised."""
    leaves, structure = jax.tree.flatten(arguments(CASES[name], 0))
    for place in data.draw(st.sets(st.integers(0, len(leaves) - 1), min_size=1)):
        if is_key(leaves[place]):
            continue
        same = st.just(list(leaves[place].shape))
        shape = data.draw(same | st.lists(st.sampled_from([0, 1, 2, 3, 5]), max_size=3))
        leaves[place] = jnp.zeros(shape, data.draw(st.sampled_from(DTYPES)))
    with warnings.catch_warnings(), suppress(AssertionError, ValueError):
        warnings.simplefilter("ignore")  # of complex numbers made real
        jax.eval_shape(CASES[name].function, *structure.unflatten(leaves))


@pytest.mark.parametrize("name", sorted(OF_ANY_NUMBERS))
@bounded
@given(data=st.data())
def test_numbers_of_any_size_give_numbers(name, data):
    """Zeros, equal ones and the smallest there are among them."""
    elements = st.sampled_from([0.0, 1.0, -1e-45]) | st.floats(-30, 30, width=32)
    leaves, structure = jax.tree.flatten(arguments(CASES[name], 0))
    drawn = [
        jnp.asarray(data.draw(arrays(np.float32, leaf.shape, elements=elements)))
        if is_float(leaf)
        else leaf
        for leaf in leaves
    ]
    for result in filter(is_float, jax.tree.leaves(jitted(name)(*structure.unflatten(drawn)))):
        assert not jnp.isnan(result).any()
