"""Statistics of a batch that is split over devices, and means normalized by them.

Letters: B rows of a batch on this device, F features, Z latent dimensions.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import assert_mask, narrowed, widened


def batch_moments(
    x: jax.Array, *, where: jax.Array | None = None, axis_name: str | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean and variance of each feature over the valid rows of the global batch.

    Args:
      x: floating [B, F].
      where: bool [B], valid rows; all if None.
      axis_name: mapped axis of the batch, or None.

    Returns:
      Mean [F], variance [F] (the biased one) and number of rows [].

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.
    """
    chex.assert_rank(x, 2)
    chex.assert_type(x, float)
    where = jnp.ones(x.shape[:1], bool) if where is None else where
    assert_mask(where, x.shape[:1])
    valid = where[:, None]
    x = jnp.where(valid, widened(x), 0)  # what other rows hold must not reach a gradient either

    def total(values: jax.Array) -> jax.Array:
        summed = values.sum(0)
        return summed if axis_name is None else jax.lax.psum(summed, axis_name)

    count = total(where.astype(x.dtype))
    mean = total(x) / jnp.maximum(count, 1)
    var = total(jnp.where(valid, jnp.square(x - mean[None]), 0)) / jnp.maximum(count, 1)
    return mean, var, count


def batch_normalized_mean(
    mean: jax.Array,
    *,
    scale: float | jax.Array,
    shift: jax.Array,
    where: jax.Array | None = None,
    axis_name: str | None = None,
    epsilon: float = 1e-5,
) -> jax.Array:
    """Posterior means normalized over the batch to a fixed scale (BN-VAE, Zhu et al. 2020).

    scale·(mean − m)/√(v + epsilon) + shift, with the batch's mean m and variance v of every
    dimension. Whatever the encoder does, the average over the batch of the KL to N(0, I) is then
    at least ½·scale²·Σ_d v_d/(v_d + epsilon).

    Args:
      mean: floating [B, Z].
      scale: γ, a number or [Z], which is not learned.
      shift: floating [Z], learned.
      where: bool [B], valid rows; all if None.
      axis_name: mapped axis of the batch, or None.
      epsilon: added to the variance.

    Returns:
      [B, Z]; rows that are not valid are the shift. NaN where fewer than two rows of the global
      batch are valid: one is its own mean, and would be normalized to the shift.

    Raises:
      AssertionError: wrong ranks, shapes or dtypes.

    >>> means = batch_normalized_mean(jnp.array([[1.0], [3.0]]), scale=0.6, shift=jnp.zeros(1))
    >>> [round(value, 3) for value in means.ravel().tolist()]
    [-0.6, 0.6]
    """
    chex.assert_shape(shift, mean.shape[1:])
    center, var, count = batch_moments(mean, where=where, axis_name=axis_name)
    wide, shift = widened((mean, shift))
    if where is not None:  # else what such a row holds would reach the gradient, as 0·NaN is NaN
        wide = jnp.where(where[:, None], wide, center[None])
    gain = scale * jax.lax.rsqrt(var + epsilon)
    normalized = (wide - center[None]) * gain[None] + shift[None]
    return narrowed(jnp.where(count < 2, jnp.nan, normalized), mean)
