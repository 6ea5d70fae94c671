"""The log-magnification of a batch's codes, each on its own sentence, as an objective asks for it.

Letters: B rows of a batch on this device, T positions, V vocabulary, H hidden, Z latent.
"""

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.pullback import pullback_log_magnification
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.models.features import code_features, fisher_log_magnification_estimate
from wae_rnf_jax.training.recipe import Batch, TrainState

_ESTIMATED_TOGETHER = 8  # sentences whose metrics are estimated at once


def sentence_log_magnification(
    model: TextAutoencoder,
    state: TrainState,
    batch: Batch,
    keys: jax.Array,
    rows_key: jax.Array,
    axis_name: str | None,
    zk: jax.Array,
    features: str,
    *,
    one_in: int,
    num_words: int,
) -> jax.Array:
    """½ log|G| at codes [B, Z], each teacher-forced on its own sentence; no gradient: [B].

    Of one in so many rows of the global batch, another set at each step; NaN for the others, and
    −∞ where the metric has not full rank.
    """
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    bound = BoundModel(model, variables)

    def of_example(example: tuple[jax.Array, ...]) -> jax.Array:
        key, z, tokens, length = example
        if num_words:
            words = {"num_words": num_words}
            return fisher_log_magnification_estimate(key, bound, z, tokens, length, **words)
        return pullback_log_magnification(
            lambda z: code_features(bound, z, tokens[None], length[None], features=features), z
        )

    rows = len(zk)
    measured = _spread_rows(rows_key, rows, axis_name, one_in)
    there = jnp.minimum(measured, rows - 1)
    examples = keys, jax.lax.stop_gradient(zk), batch["tokens"], batch["lengths"]
    # Not all at once: the Jacobian of a sentence's features holds T·V·Z numbers, that of its
    # decoder's outputs T·H·Z.
    together = _ESTIMATED_TOGETHER if num_words else None
    found = jax.lax.map(of_example, jax.tree.map(lambda x: x[there], examples), batch_size=together)
    found = jnp.where(jnp.isfinite(found), found, -jnp.inf)
    return jnp.full(rows, jnp.nan, found.dtype).at[measured].set(found, mode="drop")


def _spread_rows(key: jax.Array, rows: int, axis_name: str | None, one_in: int) -> jax.Array:
    """This device's rows among every `one_in`-th of the global batch, from a random one on.

    As many numbers on any device; those that are no row of its own are `rows`.
    """
    first = jax.random.randint(key, (), 0, one_in)
    before = 0 if axis_name is None else jax.lax.axis_index(axis_name) * rows
    chosen = (first - before) % one_in + one_in * jnp.arange(-(-rows // one_in))
    return jnp.where(chosen < rows, chosen, rows)
