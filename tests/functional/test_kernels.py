from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

import wae_rnf_jax as wae

KERNELS = {
    "rbf": (partial(wae.rbf_kernel, bandwidth=1.3), partial(references.rbf, bandwidth=1.3)),
    "imq": (partial(wae.imq_kernel, constant=0.7), partial(references.imq, constant=0.7)),
    "multi_scale_imq": (wae.multi_scale_imq_kernel, references.multi_scale_imq),
    "multi_scale_imq_on_a_sphere": (
        partial(wae.multi_scale_imq_kernel, mean_squared_distance=2.0),
        lambda x, y: sum(references.imq(x, y, 2.0 * scale) for scale in references.SCALES),
    ),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.usefixtures("x64")
def test_matches_the_definition(name):
    kernel, reference = KERNELS[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(kernel(x, y), references.gram(reference, x, y), rtol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_equal_points_have_exactly_the_maximum(name, key):
    """Far from the origin too, where an expanded square would leave a distance of rounding."""
    kernel, _ = KERNELS[name]
    x = 1e3 + jax.random.normal(key, (6, 32))
    maximum = 7.0 if name.startswith("multi_scale_imq") else 1.0
    assert np.all(np.diag(jax.jit(kernel)(x, x)) == maximum)


@pytest.mark.parametrize("name", KERNELS)
def test_gradient_is_zero_at_equal_points(name):
    kernel, _ = KERNELS[name]
    x = jnp.ones([1, 3])
    gradients = jax.grad(lambda x, y: kernel(x, y).sum(), (0, 1))(x, x)
    np.testing.assert_array_equal(gradients, np.zeros([2, 1, 3]))


def test_gradient_is_finite_far_away():
    x, y = jnp.zeros([2, 3]), jnp.full([2, 3], 1e4)
    for kernel, _ in KERNELS.values():
        gradient = jax.grad(lambda x, kernel=kernel: kernel(x, y).sum())(x)
        chex.assert_tree_all_finite(gradient)


def test_bandwidth_may_be_learned():
    x, y = jnp.zeros([1, 1]), jnp.ones([1, 1])
    slope = jax.grad(lambda h: wae.rbf_kernel(x, y, bandwidth=h)[0, 0])(2.0)
    np.testing.assert_allclose(slope, np.exp(-1 / 8) / 8, rtol=1e-6)  # d/dh exp(-1/(2h²))


def test_default_scale_is_that_of_the_standard_normal():
    """To the last digit what it was before there was a choice."""
    x, y = jax.random.normal(jax.random.key(1), (2, 4, 5))
    squared = jnp.square(x[:, None] - y[None]).sum(-1)
    before = sum(10.0 * scale / (10.0 * scale + squared) for scale in references.SCALES)
    np.testing.assert_array_equal(wae.multi_scale_imq_kernel(x, y), before)
    scale = wae.StandardNormal(5).mean_squared_distance
    chosen = wae.multi_scale_imq_kernel(x, y, mean_squared_distance=scale)
    np.testing.assert_array_equal(chosen, before)
    assert np.all(wae.multi_scale_imq_kernel(x, y, mean_squared_distance=2) < before)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(
    "x, y",
    [
        (jnp.zeros([3]), jnp.zeros([2, 3])),
        (jnp.zeros([2, 3]), jnp.zeros([2, 4])),
        (jnp.zeros([2, 3], int), jnp.zeros([2, 3])),
    ],
)
def test_wrong_ranks_sizes_and_dtypes_are_refused(name, x, y):
    with pytest.raises(AssertionError):
        KERNELS[name][0](x, y)


def test_scales_that_are_not_positive_are_refused():
    x = jnp.zeros([2, 3])
    with pytest.raises(ValueError, match="bandwidth must be positive"):
        wae.rbf_kernel(x, x, bandwidth=0.0)
    with pytest.raises(ValueError, match="constant must be positive"):
        wae.imq_kernel(x, x, constant=-1)
    for value in (0, -2.0, float("nan")):
        with pytest.raises(ValueError, match="mean_squared_distance must be positive"):
            wae.multi_scale_imq_kernel(x, x, mean_squared_distance=value)
