"""What the metric of a code is pulled back from.

Letters: B sentences, L words, T = L + 1 positions, V vocabulary, H hidden, Z latent.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.pullback import fisher_features
from wae_rnf_jax.functional.sequences import sequence_mask

FEATURES = ("fisher", "state")


def code_features(
    model: Any,
    variables: Mapping[str, Any],
    z: jax.Array,
    tokens: jax.Array,
    lengths: jax.Array,
    *,
    features: str,
) -> jax.Array:
    """Features of one code zk, whose Euclidean distances are those of what it decodes to.

    "fisher": 2·√p of every next word, with the words of the given sentences before it, so that
    lengths are Fisher–Rao distances, summed in squares over the positions. "state": the decoder's
    initial state, which costs next to nothing and depends on no sentence.

    Args:
      model: a `TextAutoencoder` with a latent code.
      variables: its parameters and running statistics.
      z: [Z], a code zk.
      tokens: [B, L], the sentences whose words the decoder is forced to.
      lengths: [B], words of each.
      features: "fisher" or "state".

    Returns:
      "fisher": [B, T, V], zero past each sentence's end. "state": [2H].

    Raises:
      ValueError: another kind of features.
    """
    if features == "state":
        return jnp.concatenate(model.apply(variables, z[None], method="initial_carry"), -1)[0]
    if features != "fisher":
        raise ValueError(f"features must be one of {FEATURES}, got {features!r}")
    codes = jnp.broadcast_to(z, (tokens.shape[0], *z.shape))
    logits = model.apply(variables, codes, tokens, method="token_logits")
    counted = sequence_mask(lengths + 1, logits.shape[-2])
    return fisher_features(logits) * counted[..., None]
