"""The scalar equation that inverts a planar flow, and its derivative."""

import jax
import jax.numpy as jnp

# From the monotone side Newton's method needs at most 16 steps for wᵀu up to 1e6, as measured.
_NEWTON_STEPS = 24


def tanh_slope(a: jax.Array) -> jax.Array:
    """tanh'(a) = 4·σ(2a)·σ(-2a), which keeps the digits that 1 - tanh² loses for large |a|."""
    return 4.0 * jax.nn.sigmoid(2.0 * a) * jax.nn.sigmoid(-2.0 * a)


@jax.custom_jvp
def activation_root(slope: jax.Array, slope_plus_one: jax.Array, target: jax.Array) -> jax.Array:
    """Solves a + slope·tanh(a) = target for a, where slope > -1.

    The left side is odd, so a ≥ 0 is solved for |target|. There it is convex for slope < 0 and
    concave for slope > 0: Newton's method started above, respectively below, the root does not
    cross it and converges from any such start.
    """
    goal = jnp.abs(target)
    cubic = jnp.cbrt(5.0 * goal / jnp.maximum(-slope, 0.5))  # a - tanh(a) ≥ a³/5 for a ≤ 1
    above = jnp.minimum(goal - slope, goal / slope_plus_one)
    above = jnp.minimum(above, jnp.where((cubic <= 1) & (slope <= -0.5), cubic, above))
    below = jnp.maximum(goal - slope, goal / slope_plus_one)
    start = jnp.where(slope < 0, above, below)

    def newton(_: int, a: jax.Array) -> jax.Array:
        excess = a + slope * jnp.tanh(a) - goal
        return jnp.maximum(a - excess / _root_slope(slope_plus_one, a), 0.0)

    return jnp.sign(target) * jax.lax.fori_loop(0, _NEWTON_STEPS, newton, start)


@activation_root.defjvp
def _jvp(
    primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    """Implicit differentiation; ``slope_plus_one`` is ``slope`` again, without a share."""
    slope, slope_plus_one, target = primals
    root = activation_root(slope, slope_plus_one, target)
    change = tangents[2] - jnp.tanh(root) * tangents[0]
    return root, change / _root_slope(slope_plus_one, root)


def _root_slope(slope_plus_one: jax.Array, a: jax.Array) -> jax.Array:
    """Derivative of a + slope·tanh(a), positive even where slope rounds to -1."""
    return jnp.square(jnp.tanh(a)) + tanh_slope(a) * slope_plus_one
