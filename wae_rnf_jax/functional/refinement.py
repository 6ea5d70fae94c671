"""Posteriors refined by gradient steps on their own sentences' bounds.

Letters: B sentences, Z latent.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import widened
from wae_rnf_jax.functional.distributions import DiagonalGaussian

Bound = Callable[[DiagonalGaussian, jax.Array], jax.Array]


def refined_posterior(
    bound: Bound,
    posterior: DiagonalGaussian,
    *,
    num_steps: int,
    rate: float,
    momentum: float,
    max_norm: float,
) -> DiagonalGaussian:
    """Stochastic variational inference from where an encoder starts it (Kim et al. 2018).

    "Semi-Amortized Variational Autoencoders". Gradient descent with momentum on each sentence's
    own loss; the gradients of its mean and of its log-variance are clipped apart. What the result
    is used for can be differentiated through all steps, exactly: a step is taken again on the way
    back, so that only the posteriors between steps are held.

    Args:
      bound: (posterior, step) -> [B], the loss of each sentence, which no other sentence's
        posterior changes; a negative evidence bound, in nats. Draws it makes should be keyed by
        the step, and share no key with draws that the result is judged by. Twice differentiable.
      posterior: of B sentences.
      num_steps: how many; 0 gives the posterior back.
      rate: step size, for one sentence's gradient.
      momentum: share of the last step that is taken again, at least 0 and below 1.
      max_norm: longest gradient of a sentence's mean, or log-variance; longer ones are scaled.

    Returns:
      Of the same B sentences.

    Raises:
      ValueError: a negative number of steps or momentum, or a rate or norm that is not above 0.
      AssertionError: the posterior is no `DiagonalGaussian`.

    >>> start = DiagonalGaussian(jnp.ones((1, 1)), jnp.zeros((1, 1)))
    >>> found = refined_posterior(
    ...     lambda posterior, step: posterior.kl(), start, num_steps=2, rate=0.5, momentum=0.0,
    ...     max_norm=10.0)
    >>> found.mean.tolist()
    [[0.25]]
    """
    if num_steps < 0 or not 0 <= momentum < 1 or not rate > 0 or not max_norm > 0:
        raise ValueError(
            "refined_posterior: num_steps must be at least 0, momentum at least 0 and below 1, "
            f"rate and max_norm above 0; got {num_steps}, {momentum}, {rate}, {max_norm}."
        )
    if not isinstance(posterior, DiagonalGaussian):
        raise AssertionError(f"posterior must be a DiagonalGaussian, got {type(posterior)}.")
    chex.assert_type([posterior.mean, posterior.log_var], float)
    chex.assert_rank(posterior.mean, 2)
    chex.assert_equal_shape([posterior.mean, posterior.log_var])

    def descend(carry, step):
        at, velocity = carry
        gradient = jax.grad(lambda at: bound(at, step).sum())(at)
        velocity = jax.tree.map(
            lambda v, g: momentum * v + _clipped(g, max_norm), velocity, gradient
        )
        return (jax.tree.map(lambda x, v: x - rate * v, at, velocity), velocity), None

    posterior = widened(posterior)
    start = posterior, jax.tree.map(jnp.zeros_like, posterior)
    (refined, _), _ = jax.lax.scan(jax.checkpoint(descend), start, jnp.arange(num_steps))
    return refined


def _clipped(gradient: jax.Array, max_norm: float) -> jax.Array:
    """Rows [B, Z] of at most this length."""
    squared = jnp.square(gradient).sum(axis=-1, keepdims=True)
    is_long = squared > max_norm**2
    # The square root of what is not taken must have a gradient too.
    return gradient * jnp.where(is_long, max_norm / jnp.sqrt(jnp.where(is_long, squared, 1)), 1)
