"""Diagonal Gaussians, given by a mean and the logarithm of the variance.

Shapes: ``...`` any batch dimensions, Z latent dimensions. All results are in nats.
"""

import math

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import narrowed, widened

_LOG_2PI = math.log(2.0 * math.pi)


def gaussian_log_prob(z: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Log-density of N(mean, diag exp(log_var)) at z.

    Leading dimensions broadcast, so that S draws [S, B, Z] can be read under one posterior [B, Z].

    Args:
      z: [..., Z] points.
      mean: [..., Z] means.
      log_var: [..., Z] log-variances, shaped like ``mean``.

    Returns:
      [...] log-densities in nats, summed over Z.

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> zeros = jnp.zeros([2])
    >>> print(f"{gaussian_log_prob(zeros, zeros, zeros):.4f}")
    -1.8379
    """
    chex.assert_type([z, mean, log_var], float)
    chex.assert_equal_shape([mean, log_var])
    z, mean, log_var = widened(_broadcast(z, mean, log_var))
    # Scaled before it is squared: at extreme variances the factors overflow, and not their product.
    scaled = jnp.square((z - mean) * jnp.exp(-0.5 * log_var))
    return -0.5 * jnp.sum(scaled + log_var + _LOG_2PI, axis=-1)


def gaussian_kl(mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Kullback-Leibler divergence of N(mean, diag exp(log_var)) from N(0, I).

    Args:
      mean: [..., Z] means.
      log_var: [..., Z] log-variances.

    Returns:
      [...] divergences in nats, summed over Z; never negative.

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> float(gaussian_kl(jnp.ones([3]), jnp.zeros([3])))
    1.5
    """
    chex.assert_type([mean, log_var], float)
    chex.assert_equal_shape([mean, log_var])
    _assert_latent_axis(mean)
    mean, log_var = widened((mean, log_var))
    # expm1 keeps the digits of a posterior close to the prior, where exp(x) - 1 - x cancels.
    return 0.5 * jnp.sum(jnp.square(mean) + jnp.expm1(log_var) - log_var, axis=-1)


def free_bits_kl(mean: jax.Array, log_var: jax.Array, *, floor: float) -> jax.Array:
    """The KL of `gaussian_kl` with a floor under every dimension's share: Σ_d max(KL_d, floor).

    Free bits (Kingma et al. 2016; Li et al. 2019): a dimension below the floor gives no gradient,
    so that it costs nothing to let it hold that much.

    Args:
      mean: [..., Z] means.
      log_var: [..., Z] log-variances.
      floor: nats that each dimension may hold for nothing, at least 0.

    Returns:
      [...] nats, at least Z·floor.

    Raises:
      ValueError: `floor` is negative or no number.
      AssertionError: wrong ranks, shapes or dtypes.

    >>> print(f"{free_bits_kl(jnp.array([2.0, 0.0]), jnp.zeros([2]), floor=0.25):.2f}")
    2.25
    """
    if not floor >= 0.0:
        raise ValueError(f"free_bits_kl: floor must be at least 0, got {floor}.")
    chex.assert_type([mean, log_var], float)
    chex.assert_equal_shape([mean, log_var])
    _assert_latent_axis(mean)
    per_dim = gaussian_kl(mean[..., None], log_var[..., None])
    # A choice and not a maximum, which would share the gradient at a tie. A NaN stays one.
    return jnp.where(per_dim < floor, floor, per_dim).sum(axis=-1)


def gaussian_entropy(log_var: jax.Array) -> jax.Array:
    """Differential entropy of a diagonal Gaussian.

    Args:
      log_var: [..., Z] log-variances.

    Returns:
      [...] entropies in nats, summed over Z.

    Raises:
      AssertionError: wrong rank or dtype.

    >>> print(f"{gaussian_entropy(jnp.zeros([2])):.4f}")
    2.8379
    """
    chex.assert_type(log_var, float)
    _assert_latent_axis(log_var)
    return 0.5 * jnp.sum(widened(log_var) + (1.0 + _LOG_2PI), axis=-1)


def gaussian_sample(mean: jax.Array, log_var: jax.Array, noise: jax.Array) -> jax.Array:
    """Reparametrized draw, mean + exp(log_var / 2) · noise (Kingma & Welling 2014).

    Args:
      mean: [..., Z] means.
      log_var: [..., Z] log-variances, shaped like ``mean``.
      noise: [..., Z] standard normal draws; leading dimensions broadcast, as [S, B, Z] does.

    Returns:
      [..., Z] draws, shaped like ``noise`` broadcast with ``mean``.

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> gaussian_sample(jnp.ones([2]), jnp.zeros([2]), jnp.array([0.0, -1.0])).tolist()
    [1.0, 0.0]
    """
    chex.assert_type([mean, log_var, noise], float)
    chex.assert_equal_shape([mean, log_var])
    arguments = _broadcast(noise, mean, log_var)
    noise, mean, log_var = widened(arguments)
    return narrowed(mean + jnp.exp(0.5 * log_var) * noise, *arguments)


def _assert_latent_axis(x: jax.Array) -> None:
    chex.assert_axis_dimension_gteq(x, -1, 0)


def _broadcast(z: jax.Array, mean: jax.Array, log_var: jax.Array) -> list[jax.Array]:
    """Broadcasts leading dimensions; the latent dimensions must be equal, not merely 1."""
    for x in (z, mean):
        _assert_latent_axis(x)
    chex.assert_equal_shape_suffix([z, mean], 1)
    shape = jnp.broadcast_shapes(z.shape, mean.shape)
    return [jnp.broadcast_to(x, shape) for x in (z, mean, log_var)]
