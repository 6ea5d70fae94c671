"""The refinement of a semi-amortized model's posteriors, in training and wherever it is used.

Letters: B sentences, L words, Z latent.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.distributions import DiagonalGaussian, sampled_kl
from wae_rnf_jax.functional.refinement import refined_posterior

if TYPE_CHECKING:
    from wae_rnf_jax.models.autoencoder import TextAutoencoder

# Folded into keys, so that the steps' noise shares none with other draws: those are numbered by
# sentences or by purposes, of which there are fewer.
_STEPS = 2**31 - 1


class Refinement(NamedTuple):
    """How posteriors are refined.

    Attributes:
      num_steps: in training.
      evaluation_steps: wherever else the model is used.
      rate: step size, for one sentence's gradient.
      momentum: share of the last step that is taken again.
      max_norm: longest gradient of a sentence's mean, or log-variance.
    """

    num_steps: int
    evaluation_steps: int
    rate: float
    momentum: float
    max_norm: float

    @classmethod
    def of(cls, procedure: Mapping[str, Any]) -> "Refinement | None":
        """The refinement that a configuration's section `procedure` asks for, if it does."""
        if procedure["name"] != "semi_amortized":
            return None
        return cls(**{field: procedure[field] for field in cls._fields})

    def steps(self, *, train: bool) -> int:
        """How many steps are taken."""
        return self.num_steps if train else self.evaluation_steps

    def refined(
        self,
        model: "TextAutoencoder",
        variables: Mapping[str, Any],
        posterior: DiagonalGaussian,
        tokens: jax.Array,
        lengths: jax.Array,
        *,
        keys: jax.Array | None = None,
        kl_weight: jax.Array | float = 1.0,
        train: bool = False,
        weights_key: jax.Array | None = None,
    ) -> DiagonalGaussian:
        """Posteriors of sentences after steps on rec + λ·KL of each.

        Args:
          model: whose decoder and flow make the bound.
          variables: its.
          posterior: the encoder's, of B sentences.
          tokens: [B, L].
          lengths: [B].
          keys: [B], the pass's in training, for the noise of the steps and the dropout, which is
            the same at all of them. Elsewhere the noise is the same for every sentence, so that a
            sentence has one code.
          kl_weight: λ.
          train: dropout on.
          weights_key: the pass's in training, of the weights that are dropped, the same at all
            steps.
        """
        if not train:
            keys = jnp.broadcast_to(random_key(0), lengths.shape)
        noise = jax.vmap(jax.random.fold_in, (0, None))(keys, _STEPS)

        def bound(posterior: DiagonalGaussian, step: jax.Array) -> jax.Array:
            z0 = posterior.sample(jax.vmap(jax.random.fold_in, (0, None))(noise, step))
            zk, log_det = model.apply(variables, z0, method="flow_forward")
            options = {"keys": keys, "train": train, "twice_differentiable": True}
            if weights_key is not None:
                options["rngs"] = {"weights": weights_key}
            nll = model.apply(variables, zk, tokens, lengths, **options, method="score")
            if model.num_flow_steps:
                return nll + kl_weight * sampled_kl(posterior, z0, zk, log_det)
            return nll + kl_weight * posterior.kl()

        return refined_posterior(
            bound,
            posterior,
            num_steps=self.steps(train=train),
            rate=self.rate,
            momentum=self.momentum,
            max_norm=self.max_norm,
        )
