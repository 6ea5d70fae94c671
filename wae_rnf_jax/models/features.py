"""What the metric of a code is pulled back from.

Letters: B sentences, L words, T = L + 1 positions, N positions read, V vocabulary, H hidden,
Z latent.
"""

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.pullback import FEATURES, fisher_features
from wae_rnf_jax.functional.sequences import sequence_mask
from wae_rnf_jax.models.bound import BoundModel


def code_features(
    model: BoundModel,
    z: jax.Array,
    tokens: jax.Array,
    lengths: jax.Array,
    *,
    features: str,
    num_positions: int | None = None,
) -> jax.Array:
    """Features of one code zk, whose Euclidean distances are those of what it decodes to.

    "fisher": 2·√p of every next word, with the words of the given sentences before it, so that
    lengths are Fisher–Rao distances, summed in squares over the positions. "state": the decoder's
    initial state, which costs next to nothing and depends on no sentence.

    Args:
      model: with a latent code.
      z: [Z], a code zk.
      tokens: [B, L], the sentences whose words the decoder is forced to.
      lengths: [B], words of each.
      features: "fisher" or "state".
      num_positions: N, at least the words of all the sentences and their ends; B·T, padding and
        all, if None. The output layer is nearly all of the cost, and costs N rows.

    Returns:
      "fisher": [N, V], of one sentence after the other, zero past the last. "state": [2H].

    Raises:
      ValueError: another kind of features.
    """
    if features == "state":
        return model.state_features(z[None])[0]
    if features != "fisher":
        raise ValueError(f"features must be one of {FEATURES}, got {features!r}")
    codes = jnp.broadcast_to(z, (tokens.shape[0], *z.shape))
    counted = sequence_mask(lengths.astype(jnp.int32) + 1, tokens.shape[1] + 1).reshape(-1)
    (positions,) = jnp.nonzero(counted, size=num_positions or counted.size, fill_value=0)
    logits = model.token_logits(codes, tokens, positions)
    read = jnp.arange(positions.size) < counted.sum()
    return fisher_features(logits) * read[:, None]
