"""The Gaussian posterior's two heads and the optional batch normalisation of their outputs.

Letters: B batch, F features, Z latent.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the valid rows of the global batch (Ioffe & Szegedy 2015).

    Flax's own averages per-device means, which is wrong where devices hold unequal numbers of
    valid rows; here sums and counts are reduced. As in PyTorch, the running variance is the
    unbiased one and `momentum` is the share of the new value.

    Attributes:
      momentum: weight of a batch in the running statistics.
      epsilon: added to the variance.
      axis_name: mapped axis over which the batch is split, or None.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, where: jax.Array, train: bool) -> jax.Array:
        """Args: x [B, F]; where [B] valid rows; train: use and update batch statistics."""
        features = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        scale = self.param("scale", nn.initializers.ones, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        if train:
            mean, var, count = self._batch_statistics(x, where)
            # Where few rows count, padding lies many deviations away: exp(log_var) would overflow,
            # and its gradient, though masked, would be no number.
            x = jnp.where(where[:, None], x, mean[None])
            if not self.is_initializing():
                unbiased = var * count / jnp.maximum(count - 1, 1)
                rate = self.momentum * (count > 0)  # a micro-batch may be padding alone
                running_mean.value += rate * (mean - running_mean.value)
                running_var.value += rate * (unbiased - running_var.value)
        else:
            mean, var = running_mean.value, running_var.value
        gain = scale * jax.lax.rsqrt(var + self.epsilon)
        return (x - mean[None]) * gain[None] + bias[None]

    def _batch_statistics(self, x: jax.Array, where: jax.Array):
        def total(values: jax.Array) -> jax.Array:
            summed = values.sum(0)
            return summed if self.axis_name is None else jax.lax.psum(summed, self.axis_name)

        valid = where[:, None].astype(x.dtype)
        count = total(where.astype(x.dtype))
        mean = total(x * valid) / jnp.maximum(count, 1)
        var = total(jnp.square(x - mean[None]) * valid) / jnp.maximum(count, 1)
        return mean, var, count


class GaussianPosterior(nn.Module):
    """Heads for mean and log-variance of q0(z0|x).

    Attributes:
      latent_dim: Z.
      input_dim: F, the size of the encoder's summary.
      batch_norm: normalise both heads over the batch; itself a device against collapse.
      initial_log_var: where log_var starts. Well below 0, the codes start apart and informative;
        at 0, they start as noise that the decoder learns to ignore.
      axis_name: mapped axis of the batch, or None.
      initializers: the family of initialisers.
    """

    latent_dim: int
    input_dim: int
    batch_norm: bool = False
    initial_log_var: float = 0.0
    axis_name: str | None = None
    initializers: Initializers = DEFAULT

    @nn.compact
    def __call__(
        self, summary: jax.Array, *, where: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Args: summary [B, F]; where [B]. Returns mean [B, Z] and log_var [B, Z]."""
        outputs = []
        for name in ("mean", "log_var"):
            head = nn.Dense(
                self.latent_dim,
                kernel_init=self.initializers.dense_kernel(self.input_dim),
                bias_init=self.initializers.dense_bias(self.input_dim),
                name=name,
            )(summary)
            if self.batch_norm:
                norm = MaskedBatchNorm(axis_name=self.axis_name, name=f"{name}_norm")
                head = norm(head, where=where, train=train)
            outputs.append(head)
        mean, log_var = outputs
        return mean, log_var + self.initial_log_var
