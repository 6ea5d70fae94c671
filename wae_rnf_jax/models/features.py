"""What the metric of a code is pulled back from.

Letters: B sentences, L words, T = L + 1 positions, N positions read, V vocabulary, H hidden,
Z latent.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.fisher import fisher_metric_estimate, wishart_log_bias
from wae_rnf_jax.functional.pullback import (
    FEATURES,
    fisher_features,
    metric_log_magnification,
)
from wae_rnf_jax.functional.sequences import sequence_mask
from wae_rnf_jax.models.bound import BoundModel


def _in_full(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The function with float32 products as they are written; GPUs and TPUs round operands else."""

    @functools.wraps(function)
    def precise(*args: Any, **kwargs: Any) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return precise


@_in_full
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
    model = _in_single_precision(model)
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


@_in_full
def fisher_log_magnification_estimate(
    key: jax.Array,
    model: BoundModel,
    z: jax.Array,
    tokens: jax.Array,
    length: jax.Array,
    *,
    num_words: int,
) -> jax.Array:
    """½ log|G| of a code's Fisher–Rao metric, teacher-forced on a sentence, from drawn words.

    The metric is `fisher_metric_estimate`'s; the determinant's bias is taken off as if its terms
    were normal. The output layer is multiplied once, and not Z times.

    Args:
      key: of the words.
      model: with a latent code.
      z: [Z], a code zk.
      tokens: [L], the sentence whose words the decoder is forced to.
      length: [], its words.
      num_words: pairs of words drawn at each position.

    Returns:
      [] nats; NaN where the estimate has not full rank.
    """
    model = _in_single_precision(model)

    def features_of(z: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        features, *layer = model.output_operands(z[None], tokens[None])
        return features[0], (features[0], *layer)

    jacobian, (features, kernel, offset) = jax.jacfwd(features_of, has_aux=True)(z)
    logits = features @ kernel + offset[None]
    count = length.astype(jnp.int32) + 1
    counted = sequence_mask(count[None], tokens.shape[0] + 1)[0]
    metric = fisher_metric_estimate(
        key, jacobian, logits, kernel, num_words=num_words, where=counted
    )
    num_terms = count * num_words
    bias = wishart_log_bias(jnp.maximum(num_terms, z.shape[0]), dim=z.shape[0])
    # Of fewer terms the determinant is 0, which rounding may hide.
    return jnp.where(num_terms < z.shape[0], jnp.nan, metric_log_magnification(metric) - bias)


def _in_single_precision(model: BoundModel) -> BoundModel:
    """The model without narrower operands: rounding would lengthen curves and blur the metric."""
    return replace(model, module=model.module.clone(dtype="float32"))
