"""The Fisher–Rao metric of a language decoder, from drawn words in place of all of them.

Shapes: ``...`` any batch dimensions, T positions, H features of a decoder, V vocabulary, Z latent
dimensions, M draws.

With hₜ the decoder's output at position t, Jₜ = ∂hₜ/∂z and W the output layer, the metric is
G = Σₜ JₜᵀWᵀFₜWJₜ, Fₜ = diag p − ppᵀ. Exact, it takes Z output layers. But of two independent words
w, w′ of p(·|z, t), s = Jₜᵀ(W_w − W_w′)/√2 has E[ssᵀ] = the summand of position t: one output layer,
to draw them, is enough.
"""

import chex
import jax
import jax.numpy as jnp
from jax.scipy.special import digamma

from wae_rnf_jax.functional._arrays import along_last, assert_floating, assert_mask, widened
from wae_rnf_jax.functional.categorical import categorical_draws

_HIGHEST = jax.lax.Precision.HIGHEST


def fisher_metric_estimate(
    key: jax.Array,
    jacobian: jax.Array,
    logits: jax.Array,
    kernel: jax.Array,
    *,
    num_words: int,
    where: jax.Array | None = None,
) -> jax.Array:
    """An unbiased estimate of a sentence's Fisher–Rao metric, pulled back to its code.

    Args:
      key: of the draws.
      jacobian: floating [T, H, Z], the change of the decoder's output at every position.
      logits: floating [T, V], of the next words at the code.
      kernel: floating [H, V], from outputs to logits.
      num_words: M, pairs of words drawn at each position.
      where: bool [T], positions that count; all if None.

    Returns:
      [Z, Z], symmetric, of rank T·M at most.

    Raises:
      ValueError: num_words is below 1.
      AssertionError: wrong ranks, sizes or dtypes.

    >>> jacobian, logits, kernel = jnp.ones((2, 1, 1)), jnp.zeros((2, 2)), jnp.array([[1.0, -1.0]])
    >>> metric = fisher_metric_estimate(
    ...     jax.random.key(0), jacobian, logits, kernel, num_words=10_000)
    >>> print(f"{metric[0, 0]:.1f}")  # two positions, at each of which ±1 has variance 1
    2.0
    """
    assert_floating(jacobian=jacobian, logits=logits, kernel=kernel)
    chex.assert_rank([jacobian, logits, kernel], [3, 2, 2])
    chex.assert_shape(logits, (jacobian.shape[0], kernel.shape[1]))
    chex.assert_shape(kernel, (jacobian.shape[1], None))
    words = categorical_draws(key, logits, num_draws=2 * num_words)
    jacobian, kernel = widened((jacobian, kernel))
    first, second = jnp.split(jnp.moveaxis(kernel[:, words], 0, -1), 2, axis=1)  # [T, M, H] each
    change = jnp.matmul((first - second) * jnp.sqrt(0.5), jacobian, precision=_HIGHEST)
    if where is not None:
        assert_mask(where, logits.shape[:1])
        change = jnp.where(where[:, None, None], change, 0)
    change = change.reshape(-1, jacobian.shape[-1])
    metric = jnp.matmul(change.T, change, precision=_HIGHEST) / num_words
    # What was not drawn may be no number either; and of no logits can a word be drawn.
    counted = logits if where is None else jnp.where(where[:, None], logits, 0)
    return jnp.where(jnp.isnan(counted).any() | jnp.isnan(kernel).any(), jnp.nan, metric)


def wishart_log_bias(num_terms: jax.Array, *, dim: int) -> jax.Array:
    """E[½ log|Ĝ|] − ½ log|G| of the mean Ĝ of so many terms ssᵀ with s ~ N(0, G): negative.

    ½(Σᵢ ψ((n − i)/2) + Z·log(2/n)) over i < Z. What the determinant of an estimate from n terms is
    too low by if the terms are normal. Those of `fisher_metric_estimate` have heavier tails, and
    it is too low by some nats more, which docs/results.md has measured.

    Args:
      num_terms: [...], n, at least Z.
      dim: Z.

    Returns:
      [...] nats.

    >>> print(f"{wishart_log_bias(jnp.array(700.0), dim=32):.3f}")
    -0.383
    """
    n = jnp.asarray(num_terms)
    n = widened(n) if jnp.issubdtype(n.dtype, jnp.floating) else n.astype(jnp.float32)
    halves = (n[..., None] - along_last(jnp.arange(dim, dtype=n.dtype), n[..., None])) / 2
    return 0.5 * (digamma(halves).sum(-1) + dim * jnp.log(2 / n))
