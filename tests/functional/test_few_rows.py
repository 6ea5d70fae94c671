"""A statistic of fewer valid rows than it needs is not a number, whatever the padding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae

ROWS, Z = 4, 3
Y = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, Z)), jnp.float32)
SHIFT = jnp.ones(Z)
KEY = jax.random.key(0)
# What is a function of (rows [N, Z], where [N]), and how many valid rows it needs.
STATISTICS = {
    "mmd_squared_unbiased": (
        lambda x, where, **axis: wae.mmd_squared_unbiased(
            x, Y[: len(x)], kernel=wae.multi_scale_imq_kernel, where=where, **axis
        ),
        2,
    ),
    "mmd_squared_biased": (
        lambda x, where, **axis: wae.mmd_squared_biased(
            x, Y[: len(x)], kernel=wae.multi_scale_imq_kernel, where=where, **axis
        ),
        1,
    ),
    "batch_normalized_mean": (
        lambda x, where, **axis: wae.batch_normalized_mean(
            x, scale=0.5, shift=SHIFT, where=where, **axis
        ),
        2,
    ),
    "kmeans": (
        lambda x, where, **axis: wae.kmeans(
            KEY, x, num_clusters=2, num_iterations=2, where=where, **axis
        )[0],
        1,
    ),
    "rbf_bandwidth": (
        lambda x, where, **axis: wae.rbf_bandwidth(x, Y[:2], where, **axis),
        1,
    ),
}


@pytest.mark.parametrize("num_valid", [0, 1, 2])
@pytest.mark.parametrize("name", STATISTICS)
def test_below_the_rows_it_needs_it_is_nan_with_no_gradient(name, num_valid):
    statistic, needed = STATISTICS[name]
    x, where = Y + 1, jnp.arange(ROWS) < num_valid
    value = jax.jit(statistic)(x, where)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(statistic(x, where))))(x)
    if num_valid >= needed:
        assert jnp.isfinite(value).all()
    else:
        assert jnp.isnan(value).all()
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", STATISTICS)
def test_rows_are_counted_over_all_devices(name):
    """Two valid rows on different devices are enough; one is not, on whichever it lies."""
    statistic, needed = STATISTICS[name]
    mapped = jax.vmap(partial(statistic, axis_name="i"), axis_name="i")
    x = (Y + 1).reshape(ROWS, 1, Z)
    for valid in ([], [2], [1, 3]):
        where = jnp.isin(jnp.arange(ROWS), jnp.array(valid, int)).reshape(ROWS, 1)
        value = jax.jit(mapped)(x, where)
        assert bool(jnp.isfinite(value).all()) == (len(valid) >= needed)
        assert bool(jnp.isnan(value).all()) == (len(valid) < needed)


def test_one_row_has_no_active_units():
    means = 5 * Y
    assert wae.active_units(means[:1]) == -1
    assert wae.active_units(means, where=jnp.arange(ROWS) < 1) == -1
    assert wae.active_units(means, threshold=1e-3, where=jnp.arange(ROWS) < 2) == Z
