import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation import geometry
from wae_rnf_jax.functional.pullback import FEATURES
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.models.features import code_features

TOKENS = jnp.array([[4, 5, 6, 0], [7, 4, 0, 0]])
LENGTHS = jnp.array([3, 2])


@pytest.fixture(scope="module")
def paths(tiny):
    start, end = jnp.array([0.5, -1.0, 0.2]), jnp.array([-1.0, 0.8, 1.0])
    find = functools.partial(geometry.compared_paths, tiny, start, end, TOKENS, LENGTHS)
    return {kind: find(features=kind, num_points=6) for kind in FEATURES}


@pytest.mark.parametrize("kind", FEATURES)
def test_geodesic_is_shorter_than_the_straight_path(paths, kind):
    found = paths[kind]
    assert found.geodesic.converged
    assert found.geodesic.length < found.straight_length
    assert found.straight_error < 0.01 * found.straight_length
    assert found.geodesic.length_error < 0.01 * found.geodesic.length
    np.testing.assert_allclose(found.geodesic.curve[0], [0.5, -1.0, 0.2], atol=1e-6)


def test_fisher_length_is_at_most_that_of_the_sphere(paths):
    """A position's features lie on the positive part of a sphere of radius 2: at most π apart.

    Squares add up over the 7 predicted positions of the two sentences.
    """
    assert 0.1 < paths["fisher"].geodesic.length < np.pi * np.sqrt(7)


def test_pair_ratios_summarize_the_pairs():
    def paths(i, j):
        assert i != j
        straight = 1.0 + i
        shortest = jnp.asarray(straight * (0.5 if i % 2 else 1.0))
        none = jnp.zeros(())
        found = geometry.Geodesic(jnp.zeros([2, 1]), shortest, none, none, none, jnp.asarray(True))
        return geometry.Paths(jnp.asarray(straight), jnp.asarray(1e-3), found)

    done = []
    found = geometry.pair_ratios(
        paths, 10, num_pairs=50, seed=0, progress=lambda *at: done.append(at)
    )
    odd = np.mean([pair["sentences"][0] % 2 for pair in found["pairs"]])
    assert done[-1] == (50, 50)
    assert found["share_shorter"] == odd
    assert found["ratio"]["quartiles"][0] == 0.5
    assert found["ratio"]["quartiles"][1] == 1.0
    assert found["share_converged"] == 1.0
    with pytest.raises(
        InputError, match="a pair needs 2 sentences, but the number of sentences is 1"
    ):
        geometry.pair_ratios(paths, 1, num_pairs=1, seed=0)


def test_pairs_of_one_code_count_in_no_share():
    none = jnp.zeros(())

    def paths(i, j):
        straight = jnp.asarray(0.0 if max(i, j) < 3 else 1.0)  # of four sentences three are equal
        found = geometry.Geodesic(
            jnp.zeros([2, 1]), 0.9 * straight, none, none, none, straight == 0
        )
        return geometry.Paths(straight, jnp.asarray(1e-3), found)

    found = geometry.pair_ratios(paths, 4, num_pairs=30, seed=0)
    assert any(pair["straight"] == 0 for pair in found["pairs"])
    assert (found["share_shorter"], found["share_converged"]) == (1.0, 0.0)


def test_plane_of_three_codes_goes_through_them():
    codes = np.random.default_rng(0).normal(size=(3, 5))
    plane = geometry.principal_plane(codes)
    np.testing.assert_allclose(plane.points(plane.coordinates(codes)), codes, atol=1e-12)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)


def test_plane_holds_the_directions_of_most_variance():
    codes = np.random.default_rng(0).normal(size=(500, 4)) * [0.1, 3.0, 0.1, 2.0]
    axes = geometry.principal_plane(codes).axes
    np.testing.assert_allclose(np.abs(axes[:, [1, 3]]), np.eye(2), atol=0.1)
    for codes, message in (
        (np.ones([5, 1]), "at least 2 latent dimensions"),
        (np.arange(4.0)[:, None] * np.ones([4, 3]), "on one line"),
        (np.ones([3, 3]), "on one line"),
    ):
        with pytest.raises(InputError, match=message):
            geometry.principal_plane(codes)


def test_magnification_map_is_that_of_the_singular_values(tiny):
    points = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    done = []
    found = geometry.magnification_map(
        tiny, points, TOKENS, LENGTHS, progress=lambda *at: done.append(at)
    )
    assert done == [(3, 6), (6, 6)]
    decode = functools.partial(
        code_features, tiny, tokens=TOKENS, lengths=LENGTHS, features="fisher"
    )
    jacobian = np.asarray(jax.jit(jax.jacfwd(decode))(points[1, 2])).reshape(-1, 3)
    expected = np.log(np.linalg.svd(jacobian, compute_uv=False)).sum()
    np.testing.assert_allclose(found[1, 2], expected, rtol=1e-3)


def test_collapsed_model_has_a_degenerate_metric(tiny):
    params = tiny.variables["params"]
    ignored = jax.tree.map(jnp.zeros_like, params["decoder"]["initial_state"])
    params = {**params, "decoder": {**params["decoder"], "initial_state": ignored}}
    collapsed = BoundModel(tiny.module, {**tiny.variables, "params": params})
    with pytest.raises(InputError, match="degenerate everywhere"):
        geometry.magnification_map(collapsed, np.zeros([1, 2, 3]), TOKENS, LENGTHS)
