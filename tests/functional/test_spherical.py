import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import geometric_slerp

import wae_rnf_jax as wae

SHARE = np.linspace(0, 1, 7)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dim", [2, 3, 32])
def test_agrees_with_scipy_on_the_sphere(dim):
    start, end = np.random.default_rng(dim).normal(size=(2, dim))
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    found = wae.slerp(jnp.asarray(start), jnp.asarray(end), jnp.asarray(SHARE))
    np.testing.assert_allclose(found, geometric_slerp(start, end, SHARE), atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_norm_changes_linearly_and_the_ends_are_kept():
    start, end = jnp.asarray([3.0, 0.0, 4.0]), jnp.asarray([0.0, -10.0, 0.0])
    found = wae.slerp(start, end, jnp.asarray(SHARE))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 5 + 5 * SHARE, rtol=1e-12)
    np.testing.assert_allclose(found[0], start, atol=1e-12)
    np.testing.assert_allclose(found[-1], end, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-6, np.pi - 1e-6, np.pi])
def test_equal_and_opposite_directions_have_a_path_and_a_gradient(angle):
    start = jnp.asarray([1.0, 0.0, 0.0])
    end = jnp.asarray([np.cos(angle), np.sin(angle), 0.0], jnp.float32)
    found = wae.slerp(start, end, jnp.asarray([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found[-1], end, atol=1e-6)
    np.testing.assert_allclose(jnp.vdot(found[1], start), np.cos(angle / 2), atol=1e-6)
    gradient = jax.grad(lambda x: wae.slerp(x, end, jnp.asarray([0.3])).sum())(start)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("apart", [0.0, 1e-7, 5e-7, 1e-3])
def test_near_equal_ends_a_path_moves_as_far_as_its_share_of_them(apart):
    start = jnp.asarray([0.6, 0.8, 0.0])
    end = start + apart * jnp.asarray([0.8, -0.6, 0.0])

    def middle(start, end):
        return wae.slerp(start, end, jnp.asarray([0.25]))[0]

    found = jax.jacfwd(middle, (0, 1))(start, end)
    np.testing.assert_allclose(found[0], 0.75 * np.eye(3), atol=1e-3)
    np.testing.assert_allclose(found[1], 0.25 * np.eye(3), atol=1e-3)


def test_errors_are_clear():
    share = jnp.zeros([1])
    for start, end in (
        (jnp.ones([3]), jnp.ones([2])),
        (jnp.ones([1]), jnp.ones([1])),
        (jnp.ones([2], int), jnp.ones([2], int)),
        (jnp.ones([2, 2]), jnp.ones([2, 2])),
    ):
        with pytest.raises(AssertionError):
            wae.slerp(start, end, share)
