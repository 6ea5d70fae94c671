"""Estimators of what a latent-variable model has learned, from samples and posteriors.

Shape letters: N sentences, S samples, B batch, Z latent. All values are in nats.
"""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import assert_floating, assert_mask, widened
from wae_rnf_jax.functional.distributions import DiagonalGaussian, Posterior, Prior
from wae_rnf_jax.functional.gaussian import gaussian_entropy, gaussian_log_prob


def importance_weighted_nll(log_weights: jax.Array, axis: int = 0) -> jax.Array:
    """Importance-weighted bound on the negative log-likelihood.

    −log (1/S) Σ_s w_s with log w_s = log p(x|z_s) + log p(z_s) − log q(z_s|x) (Burda et al. 2016).
    In expectation it is never below −log p(x) and nears it as S grows; S = 1 is the negative ELBO
    of one draw.

    Args:
      log_weights: floating, S along `axis`.
      axis: the axis of the samples.

    Returns:
      `log_weights`' shape without `axis`.

    Raises:
      ValueError: there is no sample, or no such axis.
      AssertionError: `log_weights` is not floating.

    >>> importance_weighted_nll(jnp.full((10, 2), -3.0)).tolist()
    [3.0, 3.0]
    """
    assert_floating(log_weights=log_weights)
    if not -log_weights.ndim <= axis < log_weights.ndim:
        raise ValueError(f"log_weights of shape {log_weights.shape} have no axis {axis}.")
    num_samples = log_weights.shape[axis]
    if num_samples == 0:
        raise ValueError("importance_weighted_nll needs at least one sample.")
    return math.log(num_samples) - jax.nn.logsumexp(widened(log_weights), axis=axis)


def mutual_information(
    z: jax.Array,
    posterior: Posterior,
    *,
    block_size: int,
    where: jax.Array | None = None,
) -> jax.Array:
    """Mutual information of sentence and code under the aggregate posterior.

    The mean over i of log q(z_i|x_i) − log (1/N) Σ_j q(z_i|x_j), for one draw z_i from each
    posterior q(·|x_i) (Hoffman and Johnson 2016). It cannot exceed log N and is biased low near it.
    An invertible map shared by all sentences leaves it unchanged, so it is computed before a flow.

    The N² log-densities are formed block_size × N at a time.

    Args:
      z: floating [N, Z], one draw from each posterior.
      posterior: of N sentences.
      block_size: number of draws scored at a time; it need not divide N.
      where: bool [N], rows that count, both as draws and as members of the mixture; all if None.

    Returns:
      [], mean in nats; 0 where Z = 0, NaN where no row counts.

    Raises:
      ValueError: `block_size` is below 1 or there is no row.
      AssertionError: wrong dtypes, ranks or sizes.

    >>> from wae_rnf_jax.functional.distributions import VonMisesFisher
    >>> directions = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> posterior = VonMisesFisher(directions, jnp.full([2], 100.0))
    >>> round(float(mutual_information(directions, posterior, block_size=2)), 4)
    0.6931
    """
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}.")
    assert_floating(z=z)
    chex.assert_rank(z, 2)
    chex.assert_equal_shape([z, posterior.center])
    if z.shape[0] == 0:
        raise ValueError("mutual information needs at least one row.")
    where = jnp.ones(z.shape[:1], bool) if where is None else where
    assert_mask(where, z.shape[:1])

    z, posterior = jax.tree.map(partial(_zero_unless, where), widened((z, posterior)))
    count = where.sum().astype(z.dtype)
    aggregate = _mixture_log_prob(z, posterior, where, block_size) - jnp.log(count)
    gain = posterior.log_prob(z) - aggregate
    return jnp.where(where, gain, jnp.zeros_like(gain)).sum() / count


def gaussian_mutual_information(
    z: jax.Array,
    mean: jax.Array,
    log_var: jax.Array,
    *,
    block_size: int,
    where: jax.Array | None = None,
) -> jax.Array:
    """`mutual_information` of the posteriors N(mean, diag exp(log_var)).

    Args:
      z: floating [N, Z], one draw from each posterior.
      mean: floating [N, Z].
      log_var: floating [N, Z].
      block_size: number of draws scored at a time; it need not divide N.
      where: bool [N], rows that count; all if None.

    Returns:
      [], mean in nats; 0 where Z = 0, NaN where no row counts.

    Raises:
      ValueError: `block_size` is below 1 or there is no row.
      AssertionError: wrong dtypes, ranks or sizes.

    >>> mean = jnp.array([[-50.0], [50.0]])
    >>> mi = gaussian_mutual_information(mean, mean, jnp.zeros((2, 1)), block_size=2)
    >>> round(float(mi), 4)
    0.6931
    """
    assert_floating(mean=mean, log_var=log_var)
    chex.assert_equal_shape([mean, log_var])
    return mutual_information(
        z, DiagonalGaussian(mean, log_var), block_size=block_size, where=where
    )


def active_units(
    means: jax.Array, threshold: float = 0.01, where: jax.Array | None = None
) -> jax.Array:
    """Number of latent dimensions whose posterior mean varies over the data.

    A dimension is active if the (population) variance of its posterior means over the split is
    above the threshold (Burda et al. 2016). An integer cannot be NaN: where it would have to be, as
    fewer than two rows count, which cannot vary, or a mean that does is not finite, it is -1.

    Args:
      means: floating [N, Z].
      threshold: variance above which a dimension counts.
      where: bool [N], rows that count; all if None.

    Returns:
      [], integer; -1 where there is no such number.

    Raises:
      AssertionError: wrong dtypes, ranks or sizes.

    >>> int(active_units(jnp.array([[1.0, 0.0], [-1.0, 0.0]])))
    1
    """
    assert_floating(means=means)
    chex.assert_rank(means, 2)
    where = jnp.ones(means.shape[:1], bool) if where is None else where
    assert_mask(where, means.shape[:1])
    means = _zero_unless(where, widened(means))
    count = where.sum().astype(means.dtype)
    centered = _zero_unless(where, means - (means.sum(axis=0) / count)[None, :])
    variance = jnp.square(centered).sum(axis=0) / count
    unknown = jnp.isnan(variance).any() | jnp.isnan(threshold) | (count < 2)
    return jnp.where(unknown, -1, (variance > threshold).sum())


def active_threshold(prior: Prior) -> float:
    """The variance of posterior centers above which `active_units` counts a dimension.

    A hundredth of the variance that a dimension of the prior has: .01 for N(0, I), .01/Z for the
    uniform distribution on the unit sphere of R^Z.

    Args:
      prior: of the codes.

    Returns:
      The threshold.

    >>> from wae_rnf_jax.functional.distributions import StandardNormal, UniformSphere
    >>> active_threshold(StandardNormal(32)), active_threshold(UniformSphere(50))
    (0.01, 0.0002)
    """
    return 0.01 * prior.mean_squared_distance / (2.0 * prior.dim)


def nll_paper(rec: jax.Array, zk: jax.Array, log_var: jax.Array, log_det: jax.Array) -> jax.Array:
    """The "NLL" that the WAE-RNF paper's code reports, for comparison with its tables only.

    rec − log p(zk) − H(q0) − Σ log|det J_k|, everything taken at the posterior mean: zk = f(mean).
    It is no bound on anything: without a flow it is the analytic bound less ½Σσ², 16 nats at
    Z = 32 for a collapsed posterior.

    Args:
      rec: [B], sentence NLL given zk.
      zk: [B, Z], the flow's image of the posterior mean.
      log_var: [B, Z], posterior log-variance before the flow.
      log_det: [B], the flow's summed log|det| at the posterior mean.

    Returns:
      [B].

    Raises:
      AssertionError: wrong dtypes or shapes.

    >>> zeros = jnp.zeros((1, 32))
    >>> nll_paper(jnp.array([100.0]), zeros, zeros, jnp.zeros(1)).tolist()
    [84.0]
    """
    assert_floating(rec=rec, zk=zk, log_var=log_var, log_det=log_det)
    chex.assert_equal_shape([zk, log_var])
    chex.assert_shape([rec, log_det], zk.shape[:-1])
    prior = gaussian_log_prob(zk, jnp.zeros_like(zk), jnp.zeros_like(zk))
    return widened(rec) - prior - gaussian_entropy(log_var) - widened(log_det)


def perplexity(total_nll: jax.Array | float, num_tokens: jax.Array | int) -> jax.Array:
    """exp(total NLL / number of predicted tokens), over a whole split.

    Args:
      total_nll: summed NLL in nats.
      num_tokens: number of predicted tokens, `<eos>` counted and `<bos>` not.

    Returns:
      Per-token perplexity.

    Raises:
      ValueError: the arguments' shapes do not go together.

    >>> round(float(perplexity(101.04 * 3761, 82430)), 1)
    100.5
    """
    jnp.broadcast_shapes(jnp.shape(total_nll), jnp.shape(num_tokens))
    total_nll, num_tokens = widened((jnp.asarray(total_nll), jnp.asarray(num_tokens)))
    return jnp.exp(total_nll / num_tokens)


def _mixture_log_prob(
    z: jax.Array, posterior: Posterior, where: jax.Array, block_size: int
) -> jax.Array:
    """Log Σ_j q(z_i|x_j) [N] over the rows j that count, block_size rows i at a time."""
    num_rows, dim = z.shape
    rows = min(block_size, num_rows)
    num_blocks = -(-num_rows // rows)

    # Recomputed in a backward pass, which would otherwise keep every block.
    @jax.checkpoint
    def block_log_prob(block):
        pairs = posterior.pairwise_log_prob(block)
        pairs = jnp.where(where[None, :], pairs, -jnp.inf)
        return jax.nn.logsumexp(pairs, axis=-1)

    padded = jnp.pad(z, ((0, num_blocks * rows - num_rows), (0, 0)))
    log_prob = jax.lax.map(block_log_prob, padded.reshape(num_blocks, rows, dim))
    return log_prob.reshape(-1)[:num_rows]


def _zero_unless(where: jax.Array, x: jax.Array) -> jax.Array:
    """Rows of x that count, and zeros, free of NaN, for the others."""
    return jnp.where(where.reshape(-1, *[1] * (x.ndim - 1)), x, jnp.zeros_like(x))
