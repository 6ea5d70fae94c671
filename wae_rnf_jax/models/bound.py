"""A model with its variables: what evaluation takes as one argument.

Letters: B sentences, L words, V vocabulary, Z latent, S samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax

from wae_rnf_jax.functional.distributions import Posterior, Prior
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.decoders import DECODERS, Carry
from wae_rnf_jax.models.refinement import Refinement


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("variables",),
    meta_fields=("module", "refinement"),
)
@dataclass(frozen=True)
class BoundModel:
    """A `TextAutoencoder` and its variables; a pytree, so that jitted functions take it whole.

    Attributes:
      module: static under jit.
      variables: its parameters and running statistics.
      refinement: of the encoder's posteriors, where the model was trained for one.
    """

    module: TextAutoencoder
    variables: Mapping[str, Any]
    refinement: Refinement | None = None

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.module.vocab_size

    @property
    def latent_dim(self) -> int:
        """Z; 0 for a language model."""
        return self.module.latent_dim

    @property
    def prior(self) -> Prior:
        """The distribution of codes that decode to the model's own sentences."""
        return self.module.prior

    @property
    def has_state(self) -> bool:
        """Whether codes set the decoder's initial state, and `state_features` gives it."""
        return hasattr(DECODERS[self.module.decoder_choice.name], "state_features")

    def infer(self, tokens: jax.Array, lengths: jax.Array) -> Posterior:
        """Args: tokens [B, L]; lengths [B]. Returns the posteriors of B sentences, refined."""
        posterior = self._apply(tokens, lengths, method="infer")
        if self.refinement is None:
            return posterior
        sentences = posterior, tokens, lengths
        return self.refinement.refined(self.module, self.variables, *sentences)

    def unrefined(self) -> "BoundModel":
        """Returns the same model, whose posteriors are the encoder's."""
        return replace(self, refinement=None)

    def score(self, zk: jax.Array, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
        """Args: codes [..., B, Z]; tokens [B, L]; lengths [B]. Returns NLL [..., B], nats."""
        return self._apply(zk, tokens, lengths, method="score")

    def flow_forward(self, z0: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: z0 [..., Z]. Returns zk [..., Z] and the summed log-det [...]."""
        return self._apply(z0, method="flow_forward")

    def flow_inverse(self, zk: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: zk [..., Z]. Returns z0 [..., Z] and log|det ∂z0/∂zk| [...]."""
        return self._apply(zk, method="flow_inverse")

    def token_logits(self, zk: jax.Array, tokens: jax.Array, positions: jax.Array) -> jax.Array:
        """Args: zk [B, Z]; tokens [B, L]; positions [N] of the B·T. Returns logits [N, V]."""
        return self._apply(zk, tokens, positions, method="token_logits")

    def output_operands(self, zk: jax.Array, tokens: jax.Array) -> tuple[jax.Array, ...]:
        """Args: zk [..., B, Z]; tokens [B, L]. Returns features [..., B, T, F], [F, V] and [V]."""
        return self._apply(zk, tokens, method="output_operands")

    def state_features(self, zk: jax.Array) -> jax.Array:
        """Args: zk [B, Z]. Returns the decoder's initial state [B, F]."""
        return self._apply(zk, method="state_features")

    def start(self, zk: jax.Array, max_length: int) -> Carry:
        """Args: zk [B, Z]; the most steps that follow. Returns the carry before `<bos>`."""
        return self._apply(zk, max_length, method="start")

    def decode_step(self, carry: Carry, token: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """Args: carry; token [B], the last one; zk [B, Z]. Returns carry and logits [B, V]."""
        return self._apply(carry, token, zk, method="decode_step")

    def _apply(self, *args: Any, method: str) -> Any:
        return self.module.apply(self.variables, *args, method=method)
