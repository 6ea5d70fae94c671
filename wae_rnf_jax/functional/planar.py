"""Planar flow (Rezende & Mohamed 2015, arXiv:1505.05770): forward, inverse, parameters.

Shapes: ``...`` any batch dimensions, Z latent dimensions. The parameters are shared by all points.
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._activation_root import activation_root, tanh_slope
from wae_rnf_jax.functional._arrays import along_last, log_ratio, narrowed, widened

Params = dict[str, jax.Array]
PointsAndLogDet = tuple[jax.Array, jax.Array]

_HIGHEST = jax.lax.Precision.HIGHEST
_SOFTPLUS_INVERSE_OF_ONE = math.log(math.expm1(1.0))


class _Planar(NamedTuple):
    """A planar step made invertible: f(z) = z + direction·tanh(wᵀz + b)."""

    direction: jax.Array  # [Z], û
    slope: jax.Array  # [], s = wᵀû > -1
    slope_plus_one: jax.Array  # [], 1 + s, kept apart because s rounds to -1


def planar_forward_and_log_det(params: Params, z: jax.Array) -> PointsAndLogDet:
    """Planar flow f(z) = z + û·tanh(wᵀz + b), with û = u + (m(wᵀu) - wᵀu)·w/‖w‖².

    m(a) = -1 + softplus(a) keeps wᵀû above -1, so that f is invertible whatever u and w.

    Args:
      params: ``u`` [Z], ``w`` [Z], ``b`` [].
      z: [..., Z] points.

    Returns:
      The points f(z) [..., Z] and log|det ∂f/∂z| [...].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> params = planar_identity_params(jax.random.key(0), 3)
    >>> y, log_det = planar_forward_and_log_det(params, jnp.ones([2, 3]))
    >>> y.tolist(), log_det.tolist()
    ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [0.0, 0.0])
    """
    _assert_planar(params, z)
    arguments = (params, z)
    params, z = widened(arguments)
    planar = _planar(params)
    activation = _project(z, params["w"]) + params["b"]
    y = z + jnp.tanh(activation)[..., None] * along_last(planar.direction, z)
    return narrowed(y, arguments), _planar_log_det(planar, activation)


def planar_inverse_and_log_det(params: Params, y: jax.Array) -> PointsAndLogDet:
    """Inverse of the planar flow: solves a + wᵀû·tanh(a) = wᵀy + b, then z = y - û·tanh(a).

    The root is found by Newton's method to rounding, a fixed number of steps, and differentiated
    implicitly. Its relative accuracy falls as 1/(1 + wᵀû), as f nearly folds when wᵀû nears -1.

    Args:
      params: ``u`` [Z], ``w`` [Z], ``b`` [].
      y: [..., Z] points.

    Returns:
      The points z [..., Z] with f(z) = y, and log|det ∂z/∂y| [...].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> params = {"u": jnp.array([1.0, 0.0]), "w": jnp.array([1.0, 1.0]), "b": jnp.array(0.5)}
    >>> y, _ = planar_forward_and_log_det(params, jnp.array([1.0, -2.0]))
    >>> z, _ = planar_inverse_and_log_det(params, y)
    >>> [round(value, 4) for value in z.tolist()]
    [1.0, -2.0]
    """
    planar, z, activation = _planar_inverse(params, y)
    return z, -_planar_log_det(planar, activation)


def planar_paper_forward_and_log_det(params: Params, z: jax.Array) -> PointsAndLogDet:
    """Planar flow with the log-det as the paper's code computes it, log(|1 + ψᵀû| + 1e-8).

    For switch-for-switch comparison only: the points are those of ``planar_forward_and_log_det``;
    the log-det loses its digits where the flow contracts strongly.

    Args:
      params: ``u`` [Z], ``w`` [Z], ``b`` [].
      z: [..., Z] points.

    Returns:
      The points f(z) [..., Z] and the log-det [...].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> params = {"u": jnp.array([1.0, 0.0]), "w": jnp.array([1.0, 1.0]), "b": jnp.array(0.0)}
    >>> y, log_det = planar_paper_forward_and_log_det(params, jnp.zeros([2]))
    >>> y.tolist(), round(float(log_det), 4)  # log softplus(wᵀu)
    ([0.0, 0.0], 0.2725)
    """
    y, _ = planar_forward_and_log_det(params, z)
    params, z = widened((params, z))
    activation = _project(z, params["w"]) + params["b"]
    return y, _planar_paper_log_det(_planar(params), activation)


def planar_paper_inverse_and_log_det(params: Params, y: jax.Array) -> PointsAndLogDet:
    """Inverse of ``planar_paper_forward_and_log_det``, with the negative of its log-det.

    Args:
      params: ``u`` [Z], ``w`` [Z], ``b`` [].
      y: [..., Z] points.

    Returns:
      The points z [..., Z] with f(z) = y, and the log-det [...].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> params = {"u": jnp.array([1.0, 0.0]), "w": jnp.array([1.0, 1.0]), "b": jnp.array(0.0)}
    >>> z, log_det = planar_paper_inverse_and_log_det(params, jnp.zeros([2]))
    >>> z.tolist(), round(float(log_det), 4)
    ([0.0, 0.0], -0.2725)
    """
    planar, z, activation = _planar_inverse(params, y)
    return z, -_planar_paper_log_det(planar, activation)


def planar_identity_params(key: jax.Array, dim: int) -> Params:
    """Parameters at which the planar flow is the identity, and its log-det 0, exactly.

    Args:
      key: random key.
      dim: Z, the number of latent dimensions.

    Returns:
      ``w`` ~ N(0, 1/Z) [Z], ``u`` = softplus⁻¹(1)·w/‖w‖² [Z], ``b`` = 0 [].

    >>> {name: leaf.shape for name, leaf in planar_identity_params(jax.random.key(0), 3).items()}
    {'u': (3,), 'w': (3,), 'b': ()}
    """
    w = jax.random.normal(key, (dim,)) / math.sqrt(dim)
    u = _SOFTPLUS_INVERSE_OF_ONE * (w / jnp.sum(jnp.square(w)))
    return {"u": u, "w": w, "b": jnp.zeros_like(w, shape=())}


def planar_paper_params(key: jax.Array, dim: int) -> Params:
    """Parameters as the paper's code draws them, which are far from the identity.

    Args:
      key: random key.
      dim: Z, the number of latent dimensions.

    Returns:
      ``u`` and ``w`` ~ N(0, 1) [Z], ``b`` = 1 [].

    >>> float(planar_paper_params(jax.random.key(0), 3)["b"])
    1.0
    """
    u, w = jax.random.normal(key, (2, dim))
    return {"u": u, "w": w, "b": jnp.ones_like(w, shape=())}


def _planar(params: Params) -> _Planar:
    u, w = params["u"], params["w"]
    norm = jnp.sum(jnp.square(w))
    constant = norm == 0  # w = 0 leaves a translation, with wᵀû = 0
    projection = jnp.dot(w, u, precision=_HIGHEST)
    slope_plus_one = jnp.where(constant, 1.0, jax.nn.softplus(projection))
    # Where softplus underflows (float32: wᵀu < -87) a folded flow would have log-det -inf.
    slope_plus_one = jnp.maximum(slope_plus_one, jnp.finfo(slope_plus_one.dtype).tiny)
    slope = slope_plus_one - 1.0
    unit = w / jnp.where(constant, 1.0, norm)  # w/‖w‖²
    direction = u + (slope - projection) * unit
    # At the identity û and s are differences of equal numbers: what is left of them is rounding.
    # It is subtracted as a constant, so that the values are exactly 0 and the gradients are kept.
    rounding = 16 * jnp.finfo(slope.dtype).eps
    is_zero = jnp.abs(slope) <= rounding
    is_zero &= jnp.max(jnp.abs(direction)) <= rounding * jnp.max(jnp.abs(u))
    residue = jax.lax.stop_gradient((direction, slope, slope_plus_one - 1.0))
    direction, slope, slope_plus_one = jax.tree.map(
        lambda value, rest: value - jnp.where(is_zero, rest, jnp.zeros_like(rest)),
        (direction, slope, slope_plus_one),
        residue,
    )
    return _Planar(direction, slope, slope_plus_one)


def _planar_log_det(planar: _Planar, activation: jax.Array) -> jax.Array:
    """log(1 + ψ·s), ψ = tanh'(activation), read as log(t² + ψ·(1 + s)) where s nears -1."""
    psi = tanh_slope(activation)
    determinant = jnp.square(jnp.tanh(activation)) + psi * planar.slope_plus_one
    return log_ratio(determinant, jnp.ones_like(determinant), psi * planar.slope)


def _planar_paper_log_det(planar: _Planar, activation: jax.Array) -> jax.Array:
    psi = 1.0 - jnp.square(jnp.tanh(activation))
    return jnp.log(jnp.abs(1.0 + psi * planar.slope) + 1e-8)


def _planar_inverse(params: Params, y: jax.Array) -> tuple[_Planar, jax.Array, jax.Array]:
    """The step, the points that it takes to y, and the activations wᵀz + b they have."""
    _assert_planar(params, y)
    arguments = (params, y)
    params, y = widened(arguments)
    planar = _planar(params)
    target = _project(y, params["w"]) + params["b"]
    activation = activation_root(planar.slope, planar.slope_plus_one, target)
    z = y - jnp.tanh(activation)[..., None] * along_last(planar.direction, y)
    return planar, narrowed(z, arguments), activation


def _assert_planar(params: Params, z: jax.Array) -> None:
    chex.assert_type([z, params["u"], params["w"], params["b"]], float)
    chex.assert_rank([params["u"], params["w"], params["b"]], [1, 1, 0])
    chex.assert_equal_shape([params["u"], params["w"]])
    chex.assert_axis_dimension(z, -1, params["w"].shape[0])


def _project(z: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.matmul(z, w, precision=_HIGHEST)
