"""Normalizing flows: every step by name, and chains of steps (arXiv:1505.05770).

Shapes: ``...`` any batch dimensions, Z latent dimensions, K steps of a chain. A step's forward and
inverse return the mapped points and the log absolute determinant of *their own* Jacobian, in nats.
Parameters are dictionaries of arrays shared by all points; stacked on a leading K they are a chain.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import match_varying, narrowed, widened
from wae_rnf_jax.functional.planar import (
    planar_forward_and_log_det,
    planar_identity_params,
    planar_inverse_and_log_det,
    planar_paper_forward_and_log_det,
    planar_paper_inverse_and_log_det,
    planar_paper_params,
)
from wae_rnf_jax.functional.radial import (
    radial_forward_and_log_det,
    radial_identity_params,
    radial_inverse_and_log_det,
)

Params = dict[str, jax.Array]
PointsAndLogDet = tuple[jax.Array, jax.Array]
FlowFunction = Callable[[Params, jax.Array], PointsAndLogDet]


class Flow(NamedTuple):
    """One kind of flow step.

    Attributes:
      forward: (params, z) -> (y, log_det).
      inverse: (params, y) -> (z, log_det of the inverse).
      init: (key, dim) -> params of one step.

    >>> flow = FLOWS["planar"]
    >>> params = flow.init(jax.random.key(0), 2)
    >>> z = jnp.ones((1, 2))
    >>> y, log_det = flow.forward(params, z)
    >>> z_again, _ = flow.inverse(params, y)
    >>> bool(jnp.allclose(z, z_again, atol=1e-5)), log_det.shape
    (True, (1,))
    """

    forward: FlowFunction
    inverse: FlowFunction
    init: Callable[[jax.Array, int], Params]


FLOWS: dict[str, Flow] = {
    "planar": Flow(planar_forward_and_log_det, planar_inverse_and_log_det, planar_identity_params),
    "planar_paper": Flow(
        planar_paper_forward_and_log_det, planar_paper_inverse_and_log_det, planar_paper_params
    ),
    "radial": Flow(radial_forward_and_log_det, radial_inverse_and_log_det, radial_identity_params),
}
"""Every kind of flow step by its name, as `model.flow` of a configuration has it."""


def chain_forward_and_log_det(
    forward: FlowFunction, params: Params, z: jax.Array
) -> PointsAndLogDet:
    """Applies K steps of one kind of flow, the first parameters first.

    Args:
      forward: a step's forward function.
      params: parameters stacked [K, ...].
      z: [..., Z] points.

    Returns:
      The points after the last step [..., Z] and the summed log-dets [...].

    Raises:
      AssertionError: the parameters' leading sizes differ, or z is not a float array.

    >>> step = radial_identity_params(jax.random.key(0), 2)
    >>> steps = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), step)
    >>> y, log_det = chain_forward_and_log_det(radial_forward_and_log_det, steps, jnp.ones([2]))
    >>> y.tolist(), float(log_det)
    ([1.0, 1.0], 0.0)
    """
    return _scan(forward, params, z, reverse=False)


def chain_inverse_and_log_det(
    inverse: FlowFunction, params: Params, y: jax.Array
) -> PointsAndLogDet:
    """Undoes ``chain_forward_and_log_det``: inverts the steps, the last parameters first.

    Args:
      inverse: the step's inverse function.
      params: parameters stacked [K, ...], in the order of the forward chain.
      y: [..., Z] points.

    Returns:
      The points before the first step [..., Z] and the summed log-dets of the inverses [...].

    Raises:
      AssertionError: the parameters' leading sizes differ, or y is not a float array.

    >>> step = radial_identity_params(jax.random.key(0), 2)
    >>> steps = {name: jnp.stack([leaf, leaf + 1]) for name, leaf in step.items()}
    >>> y, _ = chain_forward_and_log_det(radial_forward_and_log_det, steps, jnp.ones([2]))
    >>> z, _ = chain_inverse_and_log_det(radial_inverse_and_log_det, steps, y)
    >>> [round(value, 4) for value in z.tolist()]
    [1.0, 1.0]
    """
    return _scan(inverse, params, y, reverse=True)


def chain_trajectory(
    forward: FlowFunction, params: Params, z: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Applies K steps and keeps the points between them.

    Args:
      forward: a step's forward function.
      params: parameters stacked [K, ...].
      z: [..., Z] points.

    Returns:
      The points [K+1, ..., Z], z itself first, and each step's log-det [K, ...].

    Raises:
      AssertionError: the parameters' leading sizes differ, or z is not a float array.

    >>> step = radial_identity_params(jax.random.key(0), 2)
    >>> steps = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), step)
    >>> points, log_dets = chain_trajectory(radial_forward_and_log_det, steps, jnp.ones([5, 2]))
    >>> points.shape, log_dets.shape
    ((4, 5, 2), (3, 5))
    """
    arguments = (params, z)
    params, start = _start(params, z)

    def step(point: jax.Array, step_params: Params) -> tuple[jax.Array, PointsAndLogDet]:
        point, log_det = forward(step_params, point)
        return point, (point, log_det)

    _, (points, log_dets) = jax.lax.scan(step, start, params)
    return narrowed(jnp.concatenate([start[None], points]), arguments), log_dets


def _scan(
    function: FlowFunction, params: Params, z: jax.Array, *, reverse: bool
) -> PointsAndLogDet:
    arguments = (params, z)
    params, start = _start(params, z)

    def step(carry: PointsAndLogDet, step_params: Params) -> tuple[PointsAndLogDet, None]:
        point, total = carry
        point, log_det = function(step_params, point)
        return (point, total + log_det), None

    # A slice of the start, not fresh zeros: it varies over the mesh axes that the points vary over.
    total = jnp.zeros_like(start[..., 0])
    (point, total), _ = jax.lax.scan(step, (start, total), params, reverse=reverse)
    return narrowed(point, arguments), total


def _start(params: Params, z: jax.Array) -> tuple[Params, jax.Array]:
    """What the scan reads: points of the type that a step returns, none narrower than float32."""
    leaves = jax.tree.leaves(params)
    chex.assert_type([z, *leaves], float)
    chex.assert_equal_shape_prefix(leaves, 1)
    chex.assert_axis_dimension_gteq(z, -1, 1)
    params, z = widened((params, z))
    z = jnp.asarray(z, jnp.result_type(z, *jax.tree.leaves(params)))
    return params, match_varying(z, *leaves)
