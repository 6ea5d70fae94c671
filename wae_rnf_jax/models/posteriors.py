"""Posteriors by name: the heads that make them of a sentence's summary.

Letters: B batch, F features, Z latent.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.batch_norm import batch_moments
from wae_rnf_jax.functional.distributions import (
    DiagonalGaussian,
    Prior,
    StandardNormal,
    UniformSphere,
    VonMisesFisher,
)
from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.rules import Finite, NotNegative, Positive, Switch


class MaskedBatchNorm(nn.Module):
    """Batch normalization over the valid rows of the global batch (Ioffe & Szegedy 2015).

    Flax's own averages per-device means, which is wrong where devices hold unequal numbers of
    valid rows; here sums and counts are reduced. As in PyTorch, the running variance is the
    unbiased one and `momentum` is the share of the new value. A batch of fewer than two valid rows
    has no variance: it is normalized by the running statistics, which stay.

    Attributes:
      momentum: weight of a batch in the running statistics.
      epsilon: added to the variance.
      axis_name: mapped axis over which the batch is split, or None.
      fixed_scale: of the result, where it is not to be learned.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    axis_name: str | None = None
    fixed_scale: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, where: jax.Array, train: bool) -> jax.Array:
        """Args: x [B, F]; where [B] valid rows; train: use and update batch statistics."""
        features = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        scale = self.fixed_scale
        if scale is None:
            scale = self.param("scale", nn.initializers.ones, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        mean, var = running_mean.value, running_var.value
        if train:
            batch_mean, batch_var, count = batch_moments(x, where=where, axis_name=self.axis_name)
            enough = count >= 2  # a micro-batch may be padding alone
            if not self.is_initializing():
                unbiased = batch_var * count / jnp.maximum(count - 1, 1)
                rate = self.momentum * enough
                running_mean.value += rate * (batch_mean - mean)
                running_var.value += rate * (unbiased - var)
            mean, var = jnp.where(enough, batch_mean, mean), jnp.where(enough, batch_var, var)
            # Where few rows count, padding lies many deviations away: exp(log_var) would overflow,
            # and its gradient, though masked, would be no number.
            x = jnp.where(where[:, None], x, mean[None])
        gain = scale * jax.lax.rsqrt(var + self.epsilon)
        return (x - mean[None]) * gain[None] + bias[None]


class GaussianPosterior(nn.Module):
    """Heads for mean and log-variance of q0(z0|x).

    Attributes:
      latent_dim: Z.
      input_dim: F, the size of the encoder's summary.
      axis_name: mapped axis of the batch, or None.
      initializers: the family of initializers.
      batch_norm: normalize both heads over the batch; itself a device against collapse.
      mean_scale: γ of BN-VAE (Zhu et al. 2020), above 0: the means alone are normalized over the
        batch, to this scale, with a learned shift, which holds their KL up.
      initial_log_var: where log_var starts. Well below 0, the codes start apart and informative;
        at 0, they start as noise that the decoder learns to ignore.
    """

    latent_dim: int
    input_dim: int
    axis_name: str | None = None
    initializers: Initializers = DEFAULT
    batch_norm: Switch = False
    mean_scale: NotNegative = 0.0
    initial_log_var: Finite = 0.0

    @nn.compact
    def __call__(self, summary: jax.Array, *, where: jax.Array, train: bool) -> DiagonalGaussian:
        """Args: summary [B, F]; where [B]. Returns the posteriors of B sentences."""
        outputs = []
        for name in ("mean", "log_var"):
            head = _dense(self, name)(summary)
            scale = self.mean_scale if name == "mean" else 0.0
            if self.batch_norm or scale:
                norm = MaskedBatchNorm(
                    axis_name=self.axis_name, fixed_scale=scale or None, name=f"{name}_norm"
                )
                head = norm(head, where=where, train=train)
            outputs.append(head)
        mean, log_var = outputs
        return DiagonalGaussian(mean, log_var + self.initial_log_var)


class VonMisesFisherPosterior(nn.Module):
    """A head for the mean direction of q(z|x) on the unit sphere (Xu & Durrett 2018).

    Attributes:
      latent_dim: Z, at least 2.
      input_dim: F, the size of the encoder's summary.
      axis_name: mapped axis of the batch, which this head does not look at.
      initializers: the family of initializers.
      concentration: κ, the same for every sentence: the KL is a constant of Z and κ.
    """

    latent_dim: int
    input_dim: int
    axis_name: str | None = None
    initializers: Initializers = DEFAULT
    concentration: Positive = 15.0

    @nn.compact
    def __call__(self, summary: jax.Array, *, where: jax.Array, train: bool) -> VonMisesFisher:
        """Args: summary [B, F]; where [B] and train are not read. Returns B posteriors."""
        del where, train
        head = _dense(self, "mean_direction")(summary)
        direction = UniformSphere(self.latent_dim).projected(head)
        return VonMisesFisher(direction, jnp.full_like(direction[:, 0], self.concentration))


def _dense(module: GaussianPosterior | VonMisesFisherPosterior, name: str) -> nn.Dense:
    return nn.Dense(
        module.latent_dim,
        kernel_init=module.initializers.dense_kernel(module.input_dim),
        bias_init=module.initializers.dense_bias(module.input_dim),
        name=name,
    )


class PosteriorFamily(NamedTuple):
    """A kind of posterior: the module with its heads, and the prior of a number of dimensions."""

    module: type[nn.Module]
    prior: Callable[[int], Prior]


POSTERIORS = {
    "gaussian": PosteriorFamily(GaussianPosterior, StandardNormal),
    "vmf": PosteriorFamily(VonMisesFisherPosterior, UniformSphere),
}
