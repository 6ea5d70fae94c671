"""Radial flow (Rezende & Mohamed 2015, arXiv:1505.05770): forward, inverse, parameters.

Shapes: ``...`` any batch dimensions, Z latent dimensions. The parameters are shared by all points.
"""

import math

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import along_last, guarded_norm, log_ratio, narrowed, widened

Params = dict[str, jax.Array]
PointsAndLogDet = tuple[jax.Array, jax.Array]

_SOFTPLUS_INVERSE_OF_ONE = math.log(math.expm1(1.0))


def radial_forward_and_log_det(params: Params, z: jax.Array) -> PointsAndLogDet:
    """Radial flow f(z) = z + β·(z - z_ref)/(α + r), with r = ‖z - z_ref‖.

    α = softplus(alpha_raw) and β = -α + softplus(beta_raw) > -α, so that f is invertible.

    Args:
      params: ``reference`` [Z], ``alpha_raw`` [], ``beta_raw`` [].
      z: [..., Z] points.

    Returns:
      The points f(z) [..., Z] and log|det ∂f/∂z| [...].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> params = radial_identity_params(jax.random.key(0), 3)
    >>> y, log_det = radial_forward_and_log_det(params, jnp.ones([3]))
    >>> y.tolist(), float(log_det)
    ([1.0, 1.0, 1.0], 0.0)
    """
    _assert_radial(params, z)
    arguments = (params, z)
    params, z = widened(arguments)
    alpha, alpha_plus_beta = _radial(params)
    offset = z - along_last(params["reference"], z)
    radius = guarded_norm(offset)
    pull = (alpha_plus_beta - alpha) / (alpha + radius)
    y = narrowed(z + pull[..., None] * offset, arguments)
    return y, _radial_log_det(alpha, alpha_plus_beta, radius, z.shape[-1])


def radial_inverse_and_log_det(params: Params, y: jax.Array) -> PointsAndLogDet:
    """Inverse of the radial flow, in closed form.

    With ρ = ‖y - z_ref‖ and q = α + β - ρ, the radius is r = ½(√(q² + 4αρ) - q).

    Args:
      params: ``reference`` [Z], ``alpha_raw`` [], ``beta_raw`` [].
      y: [..., Z] points.

    Returns:
      The points z [..., Z] with f(z) = y, and log|det ∂z/∂y| [...].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> raw = jnp.array([0.5, 2.0])
    >>> params = {"reference": jnp.zeros([2]), "alpha_raw": raw[0], "beta_raw": raw[1]}
    >>> y, _ = radial_forward_and_log_det(params, jnp.array([1.0, -2.0]))
    >>> z, _ = radial_inverse_and_log_det(params, y)
    >>> [round(value, 4) for value in z.tolist()]
    [1.0, -2.0]
    """
    _assert_radial(params, y)
    arguments = (params, y)
    params, y = widened(arguments)
    alpha, alpha_plus_beta = _radial(params)
    offset = y - along_last(params["reference"], y)
    distance = guarded_norm(offset)
    q = alpha_plus_beta - distance
    root = jnp.sqrt(jnp.square(q) + 4.0 * alpha * distance)
    # Of the two equal forms of the radius the one that adds is taken, as the other cancels.
    outward = q >= 0
    total = jnp.where(outward, q + root, 1.0)
    radius = jnp.where(outward, 2.0 * alpha * distance / total, 0.5 * (root - q))
    scale = (radius + alpha) / (radius + alpha_plus_beta)
    z = along_last(params["reference"], y) + scale[..., None] * offset
    return narrowed(z, arguments), -_radial_log_det(alpha, alpha_plus_beta, radius, y.shape[-1])


def radial_identity_params(key: jax.Array, dim: int) -> Params:
    """Parameters at which the radial flow is the identity, and its log-det 0, exactly.

    Args:
      key: random key.
      dim: Z, the number of latent dimensions.

    Returns:
      ``reference`` ~ N(0, I) [Z], ``alpha_raw`` = ``beta_raw`` = softplus⁻¹(1) [].

    >>> params = radial_identity_params(jax.random.key(0), 3)
    >>> bool(params["alpha_raw"] == params["beta_raw"])
    True
    """
    reference = jax.random.normal(key, (dim,))
    raw = jnp.full_like(reference, _SOFTPLUS_INVERSE_OF_ONE, shape=())
    return {"reference": reference, "alpha_raw": raw, "beta_raw": raw}


def _radial(params: Params) -> tuple[jax.Array, jax.Array]:
    """α and α + β, both positive."""
    return jax.nn.softplus(params["alpha_raw"]), jax.nn.softplus(params["beta_raw"])


def _radial_log_det(
    alpha: jax.Array, alpha_plus_beta: jax.Array, radius: jax.Array, dim: int
) -> jax.Array:
    """(Z - 1)·log(1 + βh) + log(1 + βh + βh'r), h = 1/(α + r), as ratios of positive sums."""
    beta = alpha_plus_beta - alpha
    denominator = alpha + radius
    across = log_ratio(radius + alpha_plus_beta, denominator, beta)
    along = log_ratio(
        radius * (radius + 2.0 * alpha) + alpha * alpha_plus_beta,
        jnp.square(denominator),
        alpha * beta,
    )
    return (dim - 1) * across + along


def _assert_radial(params: Params, z: jax.Array) -> None:
    chex.assert_type([z, params["reference"], params["alpha_raw"], params["beta_raw"]], float)
    chex.assert_rank([params["reference"], params["alpha_raw"], params["beta_raw"]], [1, 0, 0])
    chex.assert_axis_dimension(z, -1, params["reference"].shape[0])
