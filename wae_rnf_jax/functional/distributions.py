"""Posteriors and priors of codes as objects: pytrees over the functions of each distribution.

Shapes: B sentences, N posteriors, R codes, Z dimensions of a code, ``...`` any batch dimensions.
Every leaf of a posterior is led by the batch, so that rows can be taken, gathered and mapped as
those of any array. All results are in nats.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import match_varying, narrowed, widened
from wae_rnf_jax.functional.bessel import mean_resultant_complement
from wae_rnf_jax.functional.gaussian import (
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
    gaussian_sample,
)
from wae_rnf_jax.functional.sequences import example_normal
from wae_rnf_jax.functional.von_mises_fisher import (
    log_sphere_surface,
    vmf_entropy,
    vmf_kl_to_uniform,
    vmf_log_prob,
    vmf_sample,
)

_LOG_2PI = math.log(2.0 * math.pi)
_HIGHEST = jax.lax.Precision.HIGHEST


class Prior(Protocol):
    """A fixed distribution of codes."""

    @property
    def dim(self) -> int:
        """Z."""

    @property
    def mean_squared_distance(self) -> float:
        """E‖x − y‖² of two draws: the scale of kernels between codes."""

    def sample(self, keys: jax.Array) -> jax.Array:
        """Args: typed keys [B], one a draw. Returns draws [B, Z]."""

    def log_prob(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]. Returns log-densities [...]."""

    def projected(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]. Returns the nearest points of the prior's support [..., Z]."""


class Posterior(Protocol):
    """Distributions of the codes of a batch of sentences, one each."""

    @property
    def prior(self) -> Prior:
        """What they are compared with."""

    @property
    def center(self) -> jax.Array:
        """The code without noise, [..., Z]."""

    @property
    def spread(self) -> jax.Array:
        """E‖z − center‖², [...]."""

    def sample(self, keys: jax.Array) -> jax.Array:
        """Args: typed keys [B], one an example. Returns reparametrized draws [B, Z]."""

    def log_prob(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]; leading dimensions broadcast. Returns log-densities [...]."""

    def kl(self) -> jax.Array:
        """KL divergence from the prior, analytic, [...]."""

    def entropy(self) -> jax.Array:
        """Differential entropy, [...]."""

    def pairwise_log_prob(self, z: jax.Array) -> jax.Array:
        """Args: z [R, Z]. Returns the log-density of each under each of N posteriors [R, N]."""


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=("dim",))
@dataclass(frozen=True)
class StandardNormal:
    """The prior N(0, I) on R^Z.

    Attributes:
      dim: Z; 0 for a model without a code.

    >>> prior = StandardNormal(2)
    >>> print(f"{prior.log_prob(jnp.zeros([2])):.4f} {prior.mean_squared_distance}")
    -1.8379 4.0
    """

    dim: int

    @property
    def mean_squared_distance(self) -> float:
        """E‖x − y‖² of two draws, 2·Z."""
        return 2.0 * self.dim

    def sample(self, keys: jax.Array) -> jax.Array:
        """Args: typed keys [B], one a draw. Returns draws [B, Z]."""
        return example_normal(keys, (self.dim,))

    def log_prob(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]. Returns log-densities [...]."""
        _assert_codes(z, self.dim)
        zeros = jnp.zeros_like(z)
        return gaussian_log_prob(z, zeros, zeros)

    def projected(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]. Returns the nearest codes of the prior's support: z itself."""
        _assert_codes(z, self.dim)
        return z


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=("dim",))
@dataclass(frozen=True)
class UniformSphere:
    """The uniform prior on the unit sphere of R^Z, with respect to its surface measure.

    Attributes:
      dim: Z, at least 2.

    >>> print(f"{UniformSphere(2).log_prob(jnp.array([1.0, 0.0])):.4f}")  # −log 2π
    -1.8379
    """

    dim: int

    def __post_init__(self):
        if self.dim < 2:
            raise ValueError(f"dim must be at least 2, got {self.dim}")

    @property
    def mean_squared_distance(self) -> float:
        """E‖x − y‖² of two draws: 2."""
        return 2.0

    def sample(self, keys: jax.Array) -> jax.Array:
        """Args: typed keys [B], one a draw. Returns unit vectors [B, Z]."""
        return self.projected(example_normal(keys, (self.dim,)))

    def log_prob(self, z: jax.Array) -> jax.Array:
        """Args: unit vectors z [..., Z]. Returns log-densities [...]; they are not looked into."""
        _assert_codes(z, self.dim)
        return jnp.full(z.shape[:-1], -log_sphere_surface(self.dim), widened(z).dtype)

    def projected(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]. Returns unit vectors; the origin, which has no nearest one, gives e₁.

        >>> UniformSphere(2).projected(jnp.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
        [[0.6000000238418579, 0.800000011920929], [1.0, 0.0]]
        """
        _assert_codes(z, self.dim)
        given, z = z, widened(z)
        # Below the smallest normal number some machines read 0, as all of them do here.
        tiny = jnp.finfo(z.dtype).tiny
        largest = jax.lax.stop_gradient(jnp.max(jnp.abs(z), axis=-1, keepdims=True))
        is_origin = largest < tiny
        z = jnp.where(is_origin, jnp.zeros_like(z).at[..., 0].set(1.0), z)
        # By the largest entry first, whose square may overflow or vanish. Compilers divide by way
        # of the reciprocal, which must not vanish either.
        z = z / jnp.where(is_origin, 1.0, jnp.minimum(largest, 1.0 / tiny))
        return narrowed(z / jnp.linalg.norm(z, axis=-1, keepdims=True), given)


@partial(jax.tree_util.register_dataclass, data_fields=("mean", "log_var"), meta_fields=())
@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag exp(log_var)), one a sentence (Kingma & Welling 2014).

    Attributes:
      mean: [..., Z].
      log_var: [..., Z].

    >>> posterior = DiagonalGaussian(jnp.ones([1, 3]), jnp.zeros([1, 3]))
    >>> posterior.kl().tolist(), posterior.spread.tolist()
    ([1.5], [3.0])
    """

    mean: jax.Array
    log_var: jax.Array

    @property
    def prior(self) -> StandardNormal:
        """N(0, I) of as many dimensions."""
        return StandardNormal(self.mean.shape[-1])

    @property
    def center(self) -> jax.Array:
        """The code without noise: the mean, [..., Z]."""
        return self.mean

    @property
    def spread(self) -> jax.Array:
        """E‖z − mean‖² = Σσ², [...]."""
        return jnp.exp(widened(self.log_var)).sum(-1)

    def sample(self, keys: jax.Array) -> jax.Array:
        """Args: typed keys [B], one an example. Returns reparametrized draws [B, Z]."""
        chex.assert_shape(keys, self.mean.shape[:1])  # one key for all would give all one noise
        noise = example_normal(keys, self.mean.shape[1:]).astype(self.mean.dtype)
        return gaussian_sample(self.mean, self.log_var, noise)

    def log_prob(self, z: jax.Array) -> jax.Array:
        """Args: z [..., Z]; leading dimensions broadcast. Returns log-densities [...]."""
        return gaussian_log_prob(z, self.mean, self.log_var)

    def kl(self) -> jax.Array:
        """KL divergence from N(0, I), analytic, [...]."""
        return gaussian_kl(self.mean, self.log_var)

    def entropy(self) -> jax.Array:
        """Differential entropy, [...]."""
        return gaussian_entropy(self.log_var)

    def pairwise_log_prob(self, z: jax.Array) -> jax.Array:
        """Log-densities of all codes under all posteriors, which are one batch [N, Z].

        The squares are formed from differences, one dimension at a time: as a matrix product they
        would lose all digits in float32 once variances are small.

        Args:
          z: [R, Z].

        Returns:
          [R, N].
        """
        _assert_pairs(z, self.mean)
        z, mean, log_var = widened((z, self.mean, self.log_var))
        precision = jnp.exp(-0.5 * log_var)
        constant = -0.5 * (log_var + _LOG_2PI).sum(axis=-1)

        # Kept for a backward pass, the dimensions' differences would be R × N × Z of them.
        @jax.checkpoint
        def add_dimension(exponent, column):
            z_column, mean_column, precision_column = column
            difference = z_column[:, None] - mean_column[None, :]
            return exponent - 0.5 * jnp.square(difference * precision_column[None, :]), None

        dtype = jnp.result_type(z, mean, precision)
        start = jnp.broadcast_to(constant[None, :], (z.shape[0], mean.shape[0])).astype(dtype)
        start = match_varying(start, z, mean, precision)
        return jax.lax.scan(add_dimension, start, (z.T, mean.T, precision.T))[0]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("mean_direction", "concentration"),
    meta_fields=(),
)
@dataclass(frozen=True)
class VonMisesFisher:
    """vMF(mean_direction, concentration) on the unit sphere of R^Z (Xu & Durrett 2018).

    Attributes:
      mean_direction: [..., Z] unit vectors.
      concentration: [...], κ > 0; a constant: no gradient of a draw runs through it.

    >>> posterior = VonMisesFisher(jnp.eye(2), jnp.full([2], 20.0))
    >>> [round(float(x), 1) for x in posterior.kl()], posterior.prior
    ([1.9, 1.9], UniformSphere(dim=2))
    """

    mean_direction: jax.Array
    concentration: jax.Array

    @property
    def prior(self) -> UniformSphere:
        """The uniform distribution on the same sphere."""
        return UniformSphere(self.mean_direction.shape[-1])

    @property
    def center(self) -> jax.Array:
        """The code without noise: the mean direction, [..., Z]."""
        return self.mean_direction

    @property
    def spread(self) -> jax.Array:
        """E‖z − mean_direction‖² = 2·(1 − E μᵀz), [...]."""
        return 2.0 * mean_resultant_complement(self.prior.dim, self.concentration)

    def sample(self, keys: jax.Array) -> jax.Array:
        """Args: typed keys [B], one an example. Returns reparametrized unit vectors [B, Z]."""
        chex.assert_shape(keys, self.mean_direction.shape[:1])
        return jax.vmap(vmf_sample)(keys, self.mean_direction, self.concentration)

    def log_prob(self, z: jax.Array) -> jax.Array:
        """Args: unit vectors z [..., Z]; leading dimensions broadcast. Returns [...]."""
        return vmf_log_prob(z, self.mean_direction, self.concentration)

    def kl(self) -> jax.Array:
        """KL divergence from the uniform distribution, analytic, [...]."""
        return vmf_kl_to_uniform(self.concentration, dim=self.prior.dim)

    def entropy(self) -> jax.Array:
        """Differential entropy with respect to the surface measure, [...]."""
        return vmf_entropy(self.concentration, dim=self.prior.dim)

    def pairwise_log_prob(self, z: jax.Array) -> jax.Array:
        """Log-densities of all codes under all posteriors, which are one batch [N, Z].

        Args:
          z: [R, Z] unit vectors.

        Returns:
          [R, N].
        """
        _assert_pairs(z, self.mean_direction)
        # The density at its mode, wherever that is: at e₁, since at the mean directions themselves
        # a gradient would run into them.
        z, mean, concentration = widened((z, self.mean_direction, self.concentration))
        first = jnp.zeros_like(mean, shape=z.shape[1:]).at[0].set(1.0)
        at_mode = vmf_log_prob(first, first, concentration)
        cosine = jnp.matmul(z, mean.T, precision=_HIGHEST)
        return concentration[None, :] * (cosine - 1.0) + at_mode[None, :]


def sampled_kl(posterior: Posterior, z0: jax.Array, zk: jax.Array, log_det: jax.Array) -> jax.Array:
    """Single-draw Monte Carlo KL of a posterior with a flow to its prior, read at zk.

    log q0(z0|x) − log|det ∂zk/∂z0| − log p(zk) for z0 drawn from the posterior (Rezende & Mohamed
    2015): its expectation is the KL, a single value can be negative.

    Args:
      posterior: of B sentences.
      z0: [..., B, Z], draws from it.
      zk: [..., B, Z], where the flow takes them.
      log_det: [..., B], the flow's summed log|det|.

    Returns:
      [..., B], nats.

    Raises:
      AssertionError: wrong shapes or dtypes.

    >>> posterior = DiagonalGaussian(jnp.zeros([1, 2]), jnp.zeros([1, 2]))
    >>> z = jnp.ones([1, 2])
    >>> sampled_kl(posterior, z, z, jnp.zeros([1])).tolist()
    [0.0]
    """
    chex.assert_equal_shape([z0, zk])
    chex.assert_equal_shape_suffix([z0, posterior.center], posterior.center.ndim)
    chex.assert_shape(log_det, z0.shape[:-1])
    return posterior.log_prob(z0) - log_det - posterior.prior.log_prob(zk)


def _assert_codes(z: jax.Array, dim: int) -> None:
    chex.assert_type(z, float)
    chex.assert_axis_dimension(z, -1, dim)


def _assert_pairs(z: jax.Array, center: jax.Array) -> None:
    chex.assert_type([z, center], float)
    chex.assert_rank([z, center], 2)
    chex.assert_equal_shape_suffix([z, center], 1)
