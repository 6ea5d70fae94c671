"""What an objective takes: a model's pass over a batch, and what it may use beside.

Letters: B batch, Z latent, K flow steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import widened
from wae_rnf_jax.functional.distributions import Posterior
from wae_rnf_jax.functional.riemannian import Codebook


class ForwardPass(NamedTuple):
    """What a model's pass over a batch gives the objectives.

    Attributes:
      nll: [B], reconstruction: each sentence's NLL given zk, nats.
      posterior: of B sentences.
      z0: [B, Z], a draw from it, before the flow.
      points: [K + 1, B, Z], the flow's trajectory, z0 first, as `chain_trajectory` returns it;
        without a flow z0[None].
      log_dets: [K, B], log|det J| of each flow step; without a flow of shape [0, B].

    >>> from wae_rnf_jax import DiagonalGaussian
    >>> posterior = DiagonalGaussian(jnp.zeros((2, 3)), jnp.zeros((2, 3)))
    >>> out = ForwardPass.without_flow(jnp.array([5.0, 7.0]), posterior, posterior.mean)
    >>> out.zk.shape, out.log_det.tolist()
    ((2, 3), [0.0, 0.0])
    """

    nll: jax.Array
    posterior: Posterior
    z0: jax.Array
    points: jax.Array
    log_dets: jax.Array

    @classmethod
    def without_flow(cls, nll: jax.Array, posterior: Posterior, z: jax.Array) -> "ForwardPass":
        """The pass of a model whose decoder reads the posteriors' draws z [B, Z] themselves."""
        return cls(nll, posterior, z, z[None], jnp.zeros((0, *nll.shape), nll.dtype))

    @property
    def zk(self) -> jax.Array:
        """The code that the decoder read, [B, Z]."""
        return self.points[-1]

    @property
    def log_det(self) -> jax.Array:
        """The flow's summed log|det|, [B]."""
        return widened(self.log_dets).sum(0)


class ObjectiveContext(NamedTuple):
    """What an objective may use beside the forward pass.

    Attributes:
      keys: [B], one an example, for further draws.
      where: bool [B], valid rows.
      kl_weight: [], λ.
      codebook: centers and bandwidth of the RBF metric, for the objectives that read it.
      axis_name: mapped axis of the batch, or None.
      mmd_group: rows within which codes are compared with the prior's draws; 0: all.
      pullback_log_magnification: (codes zk [B, Z], "fisher" or "state", *, one_in, num_words) ->
        [B], ½ log|G| pulled back from those features of each code's own sentence, for the
        objectives that read it; NaN where it was not measured, −∞ where it has not full rank.

    >>> keys, where = jax.random.split(jax.random.key(0), 2), jnp.array([True, False])
    >>> context = ObjectiveContext(keys, where, kl_weight=0.5)
    >>> float(context.mean(jnp.array([3.0, 9.0])))
    3.0
    """

    keys: jax.Array
    where: jax.Array
    kl_weight: jax.Array | float = 1.0
    codebook: Codebook | None = None
    axis_name: str | None = None
    mmd_group: int = 0
    pullback_log_magnification: Callable[..., jax.Array] | None = None

    def mean(
        self,
        values: jax.Array,
        *,
        known: jax.Array | None = None,
        of: jax.Array | None = None,
    ) -> jax.Array:
        """Returns the mean over the valid rows of the global batch, [].

        Args:
          values: [B].
          known: [B], the rows that count, if not all that are valid.
          of: [B], those that the sum is divided by the number of; the same if None.
        """
        known, values = self.where if known is None else known, widened(values)
        total = jnp.where(known, values, 0).sum()
        count = (known if of is None else of).sum()
        if self.axis_name is not None:
            total, count = jax.lax.psum((total, count), self.axis_name)
        return total / jnp.maximum(count, 1)

    def num_sentences(self) -> jax.Array:
        """Returns how many rows of the global batch are valid, []."""
        count = self.where.sum()
        return count if self.axis_name is None else jax.lax.psum(count, self.axis_name)

    def prior_draws(self, out: ForwardPass) -> jax.Array:
        """Returns draws from the prior, [B, Z]."""
        return out.posterior.prior.sample(_branch(self.keys, 0))

    def posterior_draws(self, out: ForwardPass) -> jax.Array:
        """Returns draws from q0(z0|x) other than the one decoded, [B, Z]."""
        return out.posterior.sample(_branch(self.keys, 1))


def _branch(keys: jax.Array, purpose: int) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, purpose))(keys)
