"""Lengths, energies and geodesics of curves in the latent space.

Shapes: P points of a curve, Z latent dimensions, M features. A curve [P, Z] stands for the natural
cubic spline through its points, spaced evenly in the curve's parameter; through two points that
is the straight line. What is measured is the image of the curve under a decoder, in the Euclidean
metric of its features or in one that is given.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.functional._arrays import guarded_norm, match_varying, narrowed, widened
from wae_rnf_jax.functional.pullback import Decode, Metric, pullback_metric

_HIGHEST = jax.lax.Precision.HIGHEST

_Map = Callable[[jax.Array], jax.Array]

# Points between two knots at which the optimized energy reads the decoder.
_ENERGY_REFINEMENT = 4
_START_BEND = 0.02  # of the chord
_LEAST_STEP = 1e-6  # of a search direction
_FLATTEST = 0.1  # least eigenvalue of the metric that the optimizer reckons with, of their mean


class Geodesic(NamedTuple):
    """A locally shortest curve between two codes.

    Attributes:
      curve: [P, Z] knots of its spline, both ends included.
      length: [] of its image, in units of the features.
      energy: [] of its image; at least length²/2, and equal to it at constant speed.
      length_error: [] change of the length when it is measured twice as finely.
      num_iterations: [] integer, of the optimizer.
      converged: [] bool, whether the energy's gradient fell below the tolerance; False where the
        energy is not finite, NaN included.

    >>> found = geodesic(lambda z: 3.0 * z, jnp.zeros([2]), jnp.ones([2]), num_points=4)
    >>> print(f"{found.length:.3f}", found.curve.shape, bool(found.converged))
    4.243 (4, 2) True
    """

    curve: jax.Array
    length: jax.Array
    energy: jax.Array
    length_error: jax.Array
    num_iterations: jax.Array
    converged: jax.Array


def resampled_curve(curve: jax.Array, *, num_points: int) -> jax.Array:
    """Evenly spaced parameter values of the natural cubic spline through a curve's points.

    Args:
      curve: [P, Z] knots.
      num_points: how many points, both ends included.

    Returns:
      [num_points, Z].

    Raises:
      ValueError: fewer than 2 points before or after.
      AssertionError: wrong rank or dtype.

    >>> resampled_curve(jnp.array([[0.0], [4.0]]), num_points=5)[:, 0].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    chex.assert_type(curve, float)
    chex.assert_rank(curve, 2)
    for count in (curve.shape[0], num_points):
        if count < 2:
            raise ValueError(f"a curve has at least 2 points, got {count}")
    wide = widened(curve)
    matrix = jnp.asarray(_spline_matrix(curve.shape[0], num_points), wide.dtype)
    return narrowed(jnp.matmul(matrix, wide, precision=jax.lax.Precision.HIGHEST), curve)


def curve_length(
    decode: Decode, curve: jax.Array, *, refinement: int = 10, metric: Metric | None = None
) -> jax.Array:
    """Length ∫ √(γ̇ᵀ G(γ) γ̇) dt of a curve's image, G the pullback metric.

    The decoder is read at `refinement` times the curve's points, and the distances between
    neighbors are added: the error falls with the square of the refinement.

    Args:
      decode: maps a code [Z] to features; with ``metric``, to features [M].
      curve: [P, Z] knots of a spline.
      refinement: points a knot interval is divided into.
      metric: maps features [M] to their own metric [M, M]; Euclidean if None.

    Returns:
      [] in units of the features.

    Raises:
      ValueError: fewer than 2 points, or a refinement below 1.
      AssertionError: wrong rank or dtype.

    >>> print(f"{curve_length(lambda z: 3.0 * z, jnp.array([[0.0], [2.0]])):.4f}")
    6.0000
    """
    squared = _squared_segments(decode, curve, refinement, metric)
    # A piece of no length adds none; the square root has no gradient there. NaN is no such piece.
    stays = squared <= 0
    return jnp.sum(jnp.where(stays, 0.0, jnp.sqrt(jnp.where(stays, 1.0, squared))))


def curve_energy(
    decode: Decode, curve: jax.Array, *, refinement: int = 10, metric: Metric | None = None
) -> jax.Array:
    """Energy ½ ∫ γ̇ᵀ G(γ) γ̇ dt of a curve's image, its parameter running from 0 to 1.

    Args:
      decode: as for `curve_length`.
      curve: [P, Z] knots of a spline.
      refinement: points a knot interval is divided into.
      metric: as for `curve_length`.

    Returns:
      [] in squared units of the features; at least length²/2, equal to it at constant speed.

    Raises:
      ValueError: fewer than 2 points, or a refinement below 1.
      AssertionError: wrong rank or dtype.

    >>> print(f"{curve_energy(lambda z: 3.0 * z, jnp.array([[0.0], [2.0]])):.4f}")
    18.0000
    """
    squared = _squared_segments(decode, curve, refinement, metric)
    return 0.5 * squared.size * jnp.sum(squared)


def geodesic(
    decode: Decode,
    start: jax.Array,
    end: jax.Array,
    *,
    num_points: int = 12,
    num_steps: int = 200,
    tolerance: float = 1e-3,
    refinement: int = 10,
    metric: Metric | None = None,
) -> Geodesic:
    """A locally shortest curve between two codes, by minimizing the energy of a spline.

    L-BFGS on the inner knots, from the straight line with a slight bend to one side: where the
    straight line is a saddle of the energy, as over the top of a hill, it would never leave it.
    The knots move in coordinates in which the energy would be ½‖·‖² if the metric were the same
    everywhere (the mean of the ends' and the middle's): a latent space has directions in which
    a long step changes next to nothing.

    Works under `jax.jit`, `jax.vmap`, `jax.pmap`, `jax.shard_map` and in forward mode: `jax.jvp`,
    and `jax.jacfwd` of its floating results, give the derivatives in the ends. There is no reverse
    mode (`jax.grad`): its loops have no known length. Outside of `jax.jit` each call compiles anew.

    Args:
      decode: maps a code [Z] to features; with ``metric``, to features [M].
      start: [Z] code.
      end: [Z] code.
      num_points: knots of the spline, both ends included.
      num_steps: most iterations of the optimizer.
      tolerance: of the gradient: converged means its norm in those coordinates is at most
        tolerance times the energy, both in units of the straight line's; the energy's own
        relative error is then about tolerance²/2.
      refinement: points a knot interval is divided into when the length is measured.
      metric: maps features [M] to their own metric [M, M]; Euclidean if None.

    Returns:
      The curve, its length and energy, and how the optimization ended.

    Raises:
      ValueError: fewer than 2 points, or a refinement below 1.
      AssertionError: the ends differ in shape, wrong ranks or dtypes.

    >>> found = geodesic(lambda z: 3.0 * z, jnp.zeros([2]), jnp.ones([2]), num_points=4)
    >>> print(f"{found.length:.3f}", bool(found.converged))
    4.243 True
    """
    start, end = widened((jnp.asarray(start), jnp.asarray(end)))
    chex.assert_type([start, end], float)
    if start.ndim != 1 or start.shape != end.shape:
        raise AssertionError(
            f"start and end must be one code each, [Z], got {start.shape} and {end.shape}: for "
            "many pairs, use jax.vmap"
        )
    knots = resampled_curve(jnp.stack([start, end]), num_points=num_points)
    knots = knots.at[1:-1].add(_bend(end - start, num_points))
    stretch = _unit_coordinates(decode, start, end, num_points, metric)
    unit = curve_energy(decode, knots, refinement=_ENERGY_REFINEMENT, metric=metric)
    unit = jnp.where(unit > 0, unit, 1.0)

    def curve(inner: jax.Array) -> jax.Array:
        return knots.at[1:-1].add(stretch(jnp.sqrt(unit) * inner))

    def energy(inner: jax.Array) -> jax.Array:
        found = curve_energy(decode, curve(inner), refinement=_ENERGY_REFINEMENT, metric=metric)
        return found / unit

    inner, num_iterations, converged = _minimum(
        energy, jnp.zeros_like(knots[1:-1]), num_steps=num_steps, tolerance=tolerance
    )
    found = curve(inner)
    length = curve_length(decode, found, refinement=refinement, metric=metric)
    finer = curve_length(decode, found, refinement=2 * refinement, metric=metric)
    return Geodesic(
        curve=found,
        length=length,
        energy=curve_energy(decode, found, refinement=refinement, metric=metric),
        length_error=jnp.abs(finer - length),
        num_iterations=num_iterations,
        converged=converged,
    )


class _Iterate(NamedTuple):
    point: jax.Array
    value: jax.Array
    gradient: jax.Array


def _minimum(
    function: _Map, start: jax.Array, *, num_steps: int, tolerance: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """L-BFGS until ‖gradient‖ ≤ tolerance·value: the minimizer, the iterations, and whether."""
    import optax

    optimizer = optax.scale_by_lbfgs()

    def at(point: jax.Array) -> _Iterate:
        return _Iterate(point, *jax.value_and_grad(function)(point))

    def is_flat(iterate: _Iterate) -> jax.Array:
        least = tolerance * jnp.abs(iterate.value)
        return jnp.isfinite(iterate.value) & (jnp.linalg.norm(iterate.gradient) <= least)

    def goes_on(carry: tuple) -> jax.Array:
        iterate, _, iteration = carry
        return (iteration < num_steps) & jnp.isfinite(iterate.value) & ~is_flat(iterate)

    def step(carry: tuple) -> tuple:
        iterate, state, iteration = carry
        direction, state = optimizer.update(iterate.gradient, state, iterate.point)
        # Past a saddle the remembered curvature may point uphill: then go down the gradient.
        uphill = jnp.vdot(direction, iterate.gradient) <= 0
        direction = jnp.where(uphill, iterate.gradient, direction)
        return _descended(at, iterate, -direction), state, iteration + 1

    carry = (at(start), optimizer.init(start), jnp.array(0))
    carry = jax.tree.map(lambda leaf: match_varying(leaf, *jax.tree.leaves(carry[0])), carry)
    iterate, _, iteration = jax.lax.while_loop(goes_on, step, carry)
    return iterate.point, iteration, is_flat(iterate)


def _descended(
    at: Callable[[jax.Array], _Iterate], iterate: _Iterate, direction: jax.Array
) -> _Iterate:
    """The first of the steps 1, ½, ¼, … that lowers the value enough (Armijo 1966)."""
    slope = jnp.vdot(direction, iterate.gradient)

    def too_far(carry: tuple) -> jax.Array:
        trial, size = carry
        bound = iterate.value + 1e-4 * size * slope
        return ~(trial.value <= bound) & (size > _LEAST_STEP)

    def shorter(carry: tuple) -> tuple:
        _, size = carry
        return at(iterate.point + 0.5 * size * direction), 0.5 * size

    size = jnp.ones_like(slope)
    return jax.lax.while_loop(too_far, shorter, (at(iterate.point + direction), size))[0]


def _unit_coordinates(
    decode: Decode, start: jax.Array, end: jax.Array, num_points: int, metric: Metric | None
) -> _Map:
    """The linear map to shifts of the inner knots [P − 2, Z] that costs the energy ½‖·‖².

    The energy of a shift U under one metric G everywhere is ½ tr(Uᵀ·S·U·G), S the stiffness of
    the spline; with S = L·Lᵀ and G = M·Mᵀ, U = L⁻ᵀ·Y·M⁻¹ makes it ½‖Y‖².
    """
    pieces = _ENERGY_REFINEMENT * (num_points - 1)
    steps = np.diff(_spline_matrix(num_points, pieces + 1)[:, 1:-1], axis=0)
    spline = jnp.asarray(np.linalg.cholesky(pieces * steps.T @ steps), start.dtype)
    along = (start, 0.5 * (start + end), end)
    average = sum(pullback_metric(decode, z, metric=metric) for z in along) / len(along)
    size = jnp.trace(average) / start.shape[0]
    size = jnp.where(size > 0, size, 1.0)
    # A direction that is flat here need not be flat elsewhere.
    identity = jnp.eye(start.shape[0], dtype=start.dtype)
    latent = jnp.linalg.cholesky(average / size + _FLATTEST * identity) * jnp.sqrt(size)
    solve = functools.partial(jax.scipy.linalg.solve_triangular, lower=True, trans="T")

    def stretch(shift: jax.Array) -> jax.Array:
        return solve(latent, solve(spline, shift).T).T

    return stretch


def _bend(chord: jax.Array, num_points: int) -> jax.Array:
    """A slight bow to one side of a chord [Z]: [P − 2, Z]."""
    side = jnp.sin(1.0 + jnp.arange(chord.shape[0], dtype=chord.dtype))
    length = guarded_norm(chord)
    along = jnp.vdot(chord, side, precision=_HIGHEST)
    side = side - chord * (along / jnp.where(length > 0, jnp.square(length), 1.0))
    size = guarded_norm(side)
    side = jnp.where(size > 1e-3, side / jnp.maximum(size, 1e-3), 0.0)
    share = jnp.linspace(0.0, 1.0, num_points, dtype=chord.dtype)[1:-1]
    return _START_BEND * length * jnp.sin(jnp.pi * share)[:, None] * side[None, :]


def _squared_segments(
    decode: Decode, curve: jax.Array, refinement: int, metric: Metric | None
) -> jax.Array:
    """Squared lengths of the pieces of a resampled curve's image."""
    if refinement < 1:
        raise ValueError(f"refinement must be at least 1, got {refinement}")
    chex.assert_type(curve, float)
    chex.assert_rank(curve, 2)
    points = resampled_curve(widened(curve), num_points=refinement * (curve.shape[0] - 1) + 1)
    features = widened(jax.vmap(decode)(points))
    steps = features[1:] - features[:-1]
    if metric is None:
        return jnp.square(steps).sum(range(1, steps.ndim))
    chex.assert_rank(features, 2)
    middle = 0.5 * (features[1:] + features[:-1])

    def squared(step: jax.Array, at: jax.Array) -> jax.Array:
        across = jnp.matmul(metric(at), step, precision=_HIGHEST)
        return jnp.vdot(step, across, precision=_HIGHEST)

    return jax.vmap(squared)(steps, middle)


def _spline_matrix(num_knots: int, num_points: int) -> np.ndarray:
    """The linear map [num_points, num_knots] from a natural cubic spline's knots to its points."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.linspace(0, 1, num_knots), np.eye(num_knots), bc_type="natural")
    return spline(np.linspace(0, 1, num_points))
