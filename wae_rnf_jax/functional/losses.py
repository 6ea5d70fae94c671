"""Loss terms, one value per token or per example; the caller masks and reduces them.

Shape letters: B batch, Z latent, K flow steps, C centers.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import widened
from wae_rnf_jax.functional.cross_entropy import fused_linear_cross_entropy
from wae_rnf_jax.functional.distributions import DiagonalGaussian, sampled_kl

__all__ = [
    "attract_regularizer",
    "flow_kl",
    "fused_linear_cross_entropy",
    "match_regularizer",
    "repel_regularizer",
]

_IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HIGHEST = jax.lax.Precision.HIGHEST


def flow_kl(
    z0: jax.Array,
    zk: jax.Array,
    mean: jax.Array,
    log_var: jax.Array,
    log_det: jax.Array,
) -> jax.Array:
    """Single-draw Monte Carlo KL of a flow posterior to the standard normal prior.

    log q0(z0|x) − log|det ∂zk/∂z0| − log p(zk) for z0 drawn from N(mean, diag exp(log_var)) and
    zk its image under the flow (Rezende and Mohamed 2015): its expectation is the KL, a single
    value can be negative.

    Args:
      z0: [..., Z], the draw.
      zk: [..., Z], where the flow takes it.
      mean: [..., Z], posterior mean.
      log_var: [..., Z], posterior log-variance.
      log_det: [...], the flow's summed log|det|.

    Returns:
      [...], nats.

    Raises:
      AssertionError: shapes differ.

    >>> z = jnp.zeros((1, 2))
    >>> flow_kl(z, z, z, z, jnp.zeros(1)).tolist()
    [0.0]
    """
    chex.assert_equal_shape([z0, zk, mean, log_var])
    chex.assert_shape(log_det, z0.shape[:-1])
    return sampled_kl(DiagonalGaussian(mean, log_var), z0, zk, widened(log_det))


def match_regularizer(
    log_det: jax.Array,
    log_magnification: jax.Array,
    offset: jax.Array,
    *,
    dim: int,
) -> jax.Array:
    """Squared mismatch, per dimension, between the flow's volume change and the metric's.

    ((log_det − log_magnification − offset)/Z)². With the RBF metric pass m(z0): the flow expands
    what is curved in z0. With the pullback metric pass −m(zk): the whole map from z0 to text then
    has constant magnification.

    Args:
      log_det: [B], Σ log|det J_k|.
      log_magnification: [B], m = ½ log|G|.
      offset: [], learned constant.
      dim: Z.

    Returns:
      [B].

    Raises:
      ValueError: `dim` is below 1.
      AssertionError: wrong shapes.

    >>> match_regularizer(jnp.array([4.0]), jnp.array([1.0]), jnp.array(1.0), dim=2).tolist()
    [1.0]
    """
    if dim < 1:
        raise ValueError(f"match_regularizer: dim must be at least 1, got {dim}.")
    chex.assert_equal_shape([log_det, log_magnification])
    chex.assert_rank(offset, 0)
    log_det, log_magnification, offset = widened((log_det, log_magnification, offset))
    return jnp.square((log_det - log_magnification - offset) / dim)


def attract_regularizer(points: jax.Array, centers: jax.Array, *, sharpness: float) -> jax.Array:
    """−Σ_k log(1 + exp(−b·d_k²)): lowest where every step's input lies at a center.

    One of the two terms in the code of the WAE-RNF paper; d_k is the distance of flow step k's
    input to the nearest center.

    Args:
      points: [K, ..., Z], the input of each flow step.
      centers: [C, Z], which carry no gradient unless the caller wants one.
      sharpness: b, at least 0.

    Returns:
      [...].

    Raises:
      ValueError: `sharpness` is negative or there is no center.
      AssertionError: wrong ranks or sizes.

    >>> points = jnp.zeros((1, 1, 2))
    >>> round(float(attract_regularizer(points, jnp.zeros((1, 2)), sharpness=0.5)[0]), 4)
    -0.6931
    """
    _check_sharpness(sharpness)
    squared = _nearest_squared_distance(points, centers)
    return -jax.nn.softplus(-sharpness * squared).sum(axis=0)


def repel_regularizer(points: jax.Array, centers: jax.Array, *, sharpness: float) -> jax.Array:
    """b·Σ_k log(Σ_s C_s/(C_s + d_k²)): highest where every step's input lies at a center.

    The other of the two terms in the code of the WAE-RNF paper, and the one of its runs (b = .5);
    C_s = 2·Z·s for s in {.1, .2, .5, 1, 2, 5, 10}, d_k as for `attract_regularizer`.

    Args:
      points: [K, ..., Z], the input of each flow step.
      centers: [C, Z], which carry no gradient unless the caller wants one.
      sharpness: b, at least 0.

    Returns:
      [...].

    Raises:
      ValueError: `sharpness` is negative or there is no center.
      AssertionError: wrong ranks or sizes.

    >>> points = jnp.zeros((1, 1, 2))
    >>> round(float(repel_regularizer(points, jnp.zeros((1, 2)), sharpness=0.5)[0]), 4)
    0.973
    """
    _check_sharpness(sharpness)
    squared = _nearest_squared_distance(points, centers)
    constants = [2.0 * points.shape[-1] * scale for scale in _IMQ_SCALES]
    kernel = sum(constant / (constant + squared) for constant in constants)
    return sharpness * jnp.log(kernel).sum(axis=0)


def _nearest_squared_distance(points: jax.Array, centers: jax.Array) -> jax.Array:
    """Squared distance [K, ...] of points [K, ..., Z] to the nearest center.

    Squared, because the distance itself has no gradient at a center. The nearest center is found
    from inner products, and its distance from differences: the expanded square loses its digits
    close to a center.
    """
    chex.assert_rank(centers, 2)
    if points.ndim < 2:
        raise ValueError(f"points must be [K, ..., Z], got shape {points.shape}.")
    chex.assert_axis_dimension(points, -1, centers.shape[1])
    if centers.shape[0] == 0:
        raise ValueError("at least one center is needed.")
    points, centers = widened((points, centers))
    inner = jnp.matmul(points, centers.T, precision=_HIGHEST)
    norms = jnp.square(centers).sum(axis=-1)
    nearest = jnp.argmin(jnp.expand_dims(norms, range(inner.ndim - 1)) - 2.0 * inner, axis=-1)
    return jnp.square(points - centers[nearest]).sum(axis=-1)


def _check_sharpness(sharpness: float) -> None:
    if not sharpness >= 0.0:
        raise ValueError(f"sharpness must not be negative, got {sharpness}.")
