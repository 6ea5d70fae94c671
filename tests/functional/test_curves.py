"""Lengths and geodesics against closed forms."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae


class Space(NamedTuple):
    """A decoder, the metric of its features, two codes and their distance in closed form."""

    decode: object
    metric: object
    start: tuple
    end: tuple
    distance: float


def sphere(z):
    theta, phi = z
    return jnp.stack([jnp.sin(theta) * jnp.cos(phi), jnp.sin(theta) * jnp.sin(phi), jnp.cos(theta)])


def cylinder(z):
    return 2.0 * jnp.stack([jnp.cos(z[0]), jnp.sin(z[0]), z[1]])


def categorical(z):
    return wae.fisher_features(jnp.append(z, 0.0))


def poincare_metric(y):
    return 4.0 / (1.0 - y @ y) ** 2 * jnp.eye(2)


def great_circle(start, end):
    return float(np.arccos(np.dot(sphere(np.array(start)), sphere(np.array(end)))))


def hyperbolic(u, v):
    u, v = np.array(u), np.array(v)
    return np.arccosh(1 + 2 * np.sum((u - v) ** 2) / ((1 - u @ u) * (1 - v @ v)))


def fisher_rao(start, end):
    p, q = (np.exp(np.append(z, 0.0)) for z in (start, end))
    return 2 * np.arccos(np.sum(np.sqrt(p / p.sum() * q / q.sum())))


def _spaces():
    ends = (1.0, 0.3), (1.2, 2.1)
    yield "sphere", Space(sphere, None, *ends, great_circle(*ends))
    ends = (0.2, -0.4), (2.0, 1.1)
    yield "cylinder", Space(cylinder, None, *ends, 2 * np.hypot(1.8, 1.5))
    ends = (0.6, 0.1), (-0.3, 0.7)
    yield "poincare disc", Space(lambda z: z, poincare_metric, *ends, hyperbolic(*ends))
    ends = (2.0, -1.0, 0.5), (-1.0, 1.5, 0.0)
    yield "categorical", Space(categorical, None, *ends, fisher_rao(*ends))
    ends = (1.0, -2.0, 0.5), (0.0, 1.0, 1.0)
    matrix = np.random.default_rng(0).normal(size=(5, 3))
    distance = np.linalg.norm(matrix @ (np.array(ends[1]) - np.array(ends[0])))
    yield "linear", Space(lambda z: jnp.asarray(matrix, z.dtype) @ z, None, *ends, distance)


SPACES = dict(_spaces())


@pytest.fixture(params=SPACES)
def space(request, x64):
    return SPACES[request.param]


# Compiled once a decoder and size, whichever test asks first.
length = jax.jit(wae.curve_length, static_argnames=("decode", "refinement", "metric"))
energy = jax.jit(wae.curve_energy, static_argnames=("decode", "refinement", "metric"))
geodesic = jax.jit(wae.geodesic, static_argnames=("decode", "num_points", "metric"))


def found_geodesic(space, dtype=jnp.float64, tolerance=1e-3):
    start, end = (jnp.asarray(z, dtype) for z in (space.start, space.end))
    return geodesic(space.decode, start, end, metric=space.metric, tolerance=tolerance)


def test_geodesic_has_the_distance_in_closed_form(space):
    found = found_geodesic(space)
    assert found.converged
    np.testing.assert_allclose(found.length, space.distance, rtol=1e-3)
    assert found.length_error < 0.01 * found.length
    # At constant speed the energy is half the squared length; it is never less.
    np.testing.assert_allclose(found.energy, found.length**2 / 2, rtol=1e-3)
    assert found.energy >= found.length**2 / 2
    np.testing.assert_allclose(found.curve[0], space.start)
    np.testing.assert_allclose(found.curve[-1], space.end)


def test_geodesic_is_no_longer_than_the_straight_line(space):
    straight = jnp.asarray([space.start, space.end])
    bound = length(space.decode, straight, metric=space.metric, refinement=200) * (1 + 1e-4)
    assert found_geodesic(space).length <= bound


def test_linear_and_rolled_up_decoders_have_straight_geodesics(x64):
    for name in ("linear", "cylinder"):
        space = SPACES[name]
        curve = found_geodesic(space, tolerance=1e-6).curve
        share = np.linspace(0, 1, len(curve))[:, None]
        expected = (1 - share) * np.array(space.start) + share * np.array(space.end)
        np.testing.assert_allclose(curve, expected, atol=1e-4)


def test_geodesic_of_the_sphere_lies_on_the_great_circle(x64):
    space = SPACES["sphere"]
    start, end = (np.asarray(sphere(jnp.asarray(z))) for z in (space.start, space.end))
    normal = np.cross(start, end) / np.linalg.norm(np.cross(start, end))
    points = jax.vmap(sphere)(found_geodesic(space, tolerance=1e-5).curve)
    np.testing.assert_allclose(points @ normal, 0.0, atol=1e-3)


def test_single_precision_converges_too():
    space = SPACES["poincare disc"]
    found = found_geodesic(space, jnp.float32)
    assert found.converged
    np.testing.assert_allclose(found.length, space.distance, rtol=2e-3)


def test_straight_line_over_a_hill_is_left_though_its_gradient_vanishes(x64):
    """By symmetry, the energy's gradient at the straight line over the top points nowhere."""

    def hill(z):
        return jnp.append(z, 3.0 * jnp.exp(-z @ z))

    start, end = jnp.array([-2.0, 0.0]), jnp.array([2.0, 0.0])
    straight = length(hill, jnp.stack([start, end]), refinement=200)
    found = geodesic(hill, start, end)
    assert found.converged
    assert found.length < 0.85 * straight
    assert jnp.abs(found.curve[:, 1]).max() > 0.5


def test_length_does_not_depend_on_the_parametrization(x64):
    share = jnp.linspace(0.0, 1.0, 30)[:, None]
    start, end = jnp.array([[0.4, 0.1]]), jnp.array([[1.3, 2.0]])
    even, uneven = (start + s @ (end - start) for s in (share, share**2))
    np.testing.assert_allclose(length(sphere, even), length(sphere, uneven), rtol=1e-4)
    assert energy(sphere, uneven) > 1.1 * energy(sphere, even)


def test_length_error_falls_with_the_square_of_the_refinement(x64):
    arc = jnp.array([[jnp.pi / 2, 0.0], [jnp.pi / 2, 2.0]])
    errors = [
        2.0 - float(length(sphere, arc, refinement=refinement)) for refinement in (10, 20, 40)
    ]
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 4.0, rtol=0.01)
    assert errors[0] < 0.01 * 2.0


def test_equal_ends_and_constant_decoders_have_no_length():
    same = geodesic(sphere, jnp.array([1.0, 0.5]), jnp.array([1.0, 0.5]), num_points=4)
    np.testing.assert_allclose(same.length, 0.0, atol=1e-5)
    constant = geodesic(lambda z: 0 * z, jnp.zeros(2), jnp.ones(2), num_points=4)
    assert float(constant.length) == 0.0
    assert same.converged
    assert constant.converged
    gradient = jax.jit(jax.grad(lambda c: wae.curve_length(sphere, c)))(jnp.ones([3, 2]))
    assert np.isfinite(gradient).all()
    start = jnp.array([1.0, 0.5])
    to = partial(geodesic, sphere, start, num_points=4)
    curve, change = jax.jvp(lambda end: to(end).curve, (start,), (jnp.ones(2),))
    np.testing.assert_allclose(curve[0], start)
    assert np.isfinite(change).all()


def test_resampling_keeps_the_knots_and_a_straight_line():
    curve = jax.random.normal(jax.random.key(0), (4, 2))
    fine = wae.resampled_curve(curve, num_points=13)
    np.testing.assert_allclose(fine[::4], curve, atol=1e-6)
    line = wae.resampled_curve(jnp.array([[0.0, 1.0], [1.0, 1.0]]), num_points=5)
    np.testing.assert_allclose(line[:, 0], [0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)


def test_pairs_under_vmap_are_those_one_at_a_time(x64):
    starts = jnp.array([[1.0, 0.3], [0.8, 0.2]])
    ends = jnp.array([[1.2, 2.1], [1.4, 1.0]])
    together = jax.vmap(partial(geodesic, sphere, num_points=8))(starts, ends)
    for i in range(2):
        alone = geodesic(sphere, starts[i], ends[i], num_points=8)
        np.testing.assert_allclose(together.length[i], alone.length, rtol=1e-6)


def test_geodesic_is_differentiated_forward_and_not_in_reverse(x64):
    """The length's derivative in an end is that of the distance, in closed form, and of a step."""

    def found(end):
        start = jnp.asarray(SPACES["sphere"].start)
        found = wae.geodesic(sphere, start, end, num_points=8, tolerance=1e-6)
        return found.length, found.curve

    def distance(end):
        return jnp.arccos(sphere(jnp.asarray(SPACES["sphere"].start)) @ sphere(end))

    end = jnp.asarray(SPACES["sphere"].end)
    of_length, of_curve = jax.jit(jax.jacfwd(found))(end)
    np.testing.assert_allclose(of_length, jax.grad(distance)(end), rtol=2e-3)
    run, h = jax.jit(found), 1e-4 * jnp.array([1.0, -2.0])
    step = (run(end + h)[1] - run(end - h)[1]) / 2
    np.testing.assert_allclose(of_curve @ h, step, atol=1e-3 * np.abs(step).max())
    with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
        jax.grad(lambda end: found(end)[0])(end)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        wae.curve_length(sphere, jnp.ones([1, 2]))
    with pytest.raises(ValueError, match="refinement must be at least 1, got 0"):
        wae.curve_energy(sphere, jnp.ones([2, 2]), refinement=0)
    with pytest.raises(AssertionError):
        wae.geodesic(sphere, jnp.ones([2]), jnp.ones([3]))
    with pytest.raises(AssertionError):
        wae.curve_length(sphere, jnp.ones([2], jnp.int32))
