"""Great circles: paths between codes whose direction carries the meaning, as under a vMF prior."""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import guarded_norm, narrowed, widened

_HIGHEST = jax.lax.Precision.HIGHEST


def slerp(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    """Spherical linear interpolation (Shoemake 1985): the great circle between two directions.

    The direction turns at constant speed and the norm changes linearly, so that codes of a sphere
    stay on it; White (2016, arXiv:1609.04468) recommends it for Gaussian codes too, whose norms
    also concentrate. Between opposite directions every great circle is as short: one is taken.

    Args:
      start: [Z] code, not 0, Z at least 2.
      end: [Z] code, not 0.
      share: [P] of the way, from 0 at the start to 1 at the end.

    Returns:
      [P, Z]; NaN where an end is 0, which has no direction.

    Raises:
      AssertionError: wrong ranks or dtypes, ends of different sizes, or Z = 1.

    >>> halfway = slerp(jnp.array([1.0, 0.0]), jnp.array([0.0, 3.0]), jnp.array([0.5]))
    >>> [f"{x:.4f}" for x in halfway[0]]
    ['1.4142', '1.4142']
    """
    chex.assert_type([start, end, share], float)
    chex.assert_rank([start, end, share], 1)
    chex.assert_equal_shape([start, end])
    chex.assert_axis_dimension_gteq(start, 0, 2)
    arguments = (start, end, share)
    start, end, share = widened(arguments)
    norms = jnp.stack([jnp.linalg.norm(start), jnp.linalg.norm(end)])
    u, v = start / norms[0], end / norms[1]
    # Exact for small and for flat angles, where the arc cosine of u·v is not (Kahan 2006).
    angle = 2 * jnp.arctan2(guarded_norm(u - v), guarded_norm(u + v))
    across = _rejection(v, u)  # of length sin(angle)
    turned = share[:, None] * angle
    # By sin(turned)/sin(angle), at equal directions the share, while the angle is acute.
    is_acute = jnp.vdot(u, v, precision=_HIGHEST) >= 0
    acute = jnp.where(is_acute, angle, 0.0)
    ratio = share[:, None] * jnp.sinc(share[:, None] * acute / jnp.pi) / jnp.sinc(acute / jnp.pi)
    # By a unit vector elsewhere, where both sines may vanish; of opposite directions, by any.
    is_parallel = jnp.vdot(across, across, precision=_HIGHEST) <= jnp.square(
        8 * jnp.finfo(u.dtype).eps
    )
    other = _rejection(jnp.eye(u.shape[0], dtype=u.dtype)[jnp.argmin(jnp.abs(u))], u)
    unit = jnp.where(is_acute | is_parallel, other, across)
    unit = unit / jnp.linalg.norm(unit)
    sideways = jnp.where(is_acute, ratio * across[None], jnp.sin(turned) * unit[None])
    direction = jnp.cos(turned) * u[None] + sideways
    return narrowed((norms[0] + share * (norms[1] - norms[0]))[:, None] * direction, *arguments)


def _rejection(x: jax.Array, unit: jax.Array) -> jax.Array:
    """The part of x orthogonal to a unit vector."""
    return x - jnp.vdot(x, unit, precision=_HIGHEST) * unit
