"""Beam search over a decoder's sentences.

Letters: B codes, W beam width, L most predicted tokens, V vocabulary, Z latent.
"""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.evaluation.generation import Generation, forbidden_words, no_sentences
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID
from wae_rnf_jax.models.bound import BoundModel


class _Beams(NamedTuple):
    step: jax.Array
    carry: Any
    previous: jax.Array  # [B, W]
    tokens: jax.Array  # [B, W, L], unended
    scores: jax.Array  # [B, W], log-probabilities, best first
    best: Generation  # the best ended sentence so far
    best_score: jax.Array  # [B], its normalized score


def beam_search(
    model: BoundModel,
    zk: jax.Array,
    *,
    max_length: int,
    beam_width: int = 5,
    length_penalty: float = 0.0,
    allow_unknown: bool = True,
) -> Generation:
    """The best sentence of a beam search.

    An ended sentence of n predicted tokens scores log p / ((5 + n) / 6)^length_penalty (Wu et al.
    2016, "Google's Neural Machine Translation System"); 0 ranks by probability alone. A sentence
    may end where its end is among the W best continuations. Width 1 without a penalty is greedy.

    Args:
      model: see `greedy_search`.
      zk: [B, Z], codes.
      max_length: most tokens predicted, the end counted.
      beam_width: W.
      length_penalty: exponent of the length normalization, at least 0.
      allow_unknown: whether `<unk>` may be produced.

    Returns:
      The best ended sentence of each row, or the best unended one where none has ended.

    Raises:
      ValueError: for a max_length or beam_width below 1, or a negative length_penalty.
    """
    chex.assert_rank(zk, 2)
    if max_length < 1 or beam_width < 1 or length_penalty < 0:
        raise ValueError(
            "beam search needs max_length >= 1, beam_width >= 1 and length_penalty >= 0, got "
            f"{max_length}, {beam_width} and {length_penalty}"
        )
    return _beam_loop(
        model,
        zk,
        length_penalty,
        max_length=max_length,
        beam_width=beam_width,
        allow_unknown=allow_unknown,
    )


@functools.partial(jax.jit, static_argnames=("max_length", "beam_width", "allow_unknown"))
def _beam_loop(
    model: BoundModel,
    zk: jax.Array,
    length_penalty: jax.Array,
    *,
    max_length: int,
    beam_width: int,
    allow_unknown: bool,
) -> Generation:
    batch = zk.shape[0]
    wide_zk = jnp.repeat(zk, beam_width, axis=0)
    forbidden = forbidden_words(model.vocab_size, allow_unknown=allow_unknown)[None, :]

    def divisor(num_tokens: jax.Array | int) -> jax.Array:
        return ((5.0 + num_tokens) / 6.0) ** length_penalty

    def searching(beams: _Beams) -> jax.Array:
        # Log-probabilities only fall and the divisor only grows: no unended sentence gets above.
        reachable = beams.scores[:, 0] / divisor(max_length)
        return (beams.step < max_length) & jnp.any(beams.best_score < reachable)

    def advance(beams: _Beams) -> _Beams:
        carry, logits = model.decode_step(beams.carry, beams.previous.reshape(-1), wide_zk)
        log_probs = jnp.where(forbidden, -jnp.inf, jax.nn.log_softmax(logits, axis=-1))
        log_probs = log_probs.reshape(batch, beam_width, -1)
        candidates = (beams.scores[:, :, None] + log_probs).reshape(batch, -1)
        # 2W, as W of them at most are ends.
        scores, flat = jax.lax.top_k(candidates, 2 * beam_width)
        parents, words = jnp.divmod(flat, log_probs.shape[-1])
        best, best_score = _better_ended(beams, scores, parents, words, divisor(beams.step + 1))
        live_scores, chosen = jax.lax.top_k(
            jnp.where(words == EOS_ID, -jnp.inf, scores), beam_width
        )
        parents = jnp.take_along_axis(parents, chosen, axis=1)
        words = jnp.take_along_axis(words, chosen, axis=1).astype(jnp.int32)
        tokens = jnp.take_along_axis(beams.tokens, parents[:, :, None], axis=1)
        flat_parents = (jnp.arange(batch)[:, None] * beam_width + parents).reshape(-1)
        return _Beams(
            step=beams.step + 1,
            carry=jax.tree.map(lambda leaf: leaf[flat_parents], carry),
            previous=words,
            tokens=tokens.at[:, :, beams.step].set(words),
            scores=live_scores,
            best=best,
            best_score=best_score,
        )

    beams = _Beams(
        step=jnp.asarray(0),
        carry=model.start(wide_zk, max_length),
        previous=jnp.full((batch, beam_width), BOS_ID, jnp.int32),
        tokens=jnp.full((batch, beam_width, max_length), PAD_ID, jnp.int32),
        # All beams start alike: the first alone counts, or the search would hold W copies.
        scores=jnp.full((batch, beam_width), -jnp.inf).at[:, 0].set(0.0),
        best=no_sentences(batch, max_length=max_length, log_prob=-jnp.inf),
        best_score=jnp.full((batch,), -jnp.inf),
    )
    beams = jax.lax.while_loop(searching, advance, beams)
    cut = Generation(
        tokens=beams.tokens[:, 0],
        lengths=jnp.full((batch,), max_length, jnp.int32),
        log_probs=beams.scores[:, 0],
        finished=jnp.zeros((batch,), bool),
    )
    return _selected(beams.best.finished, beams.best, cut)


def _better_ended(
    beams: _Beams, scores: jax.Array, parents: jax.Array, words: jax.Array, divisor: jax.Array
) -> tuple[Generation, jax.Array]:
    """The best ended sentence so far, after candidates [B, 2W] (best first) of one more token."""
    width = beams.scores.shape[1]
    ended = jnp.where(words == EOS_ID, scores, -jnp.inf)[:, :width]
    place = jnp.argmax(ended, axis=1)[:, None]
    log_probs = jnp.take_along_axis(ended, place, axis=1)[:, 0]
    parent = jnp.take_along_axis(parents, place, axis=1)
    found = Generation(
        tokens=jnp.take_along_axis(beams.tokens, parent[:, :, None], axis=1)[:, 0],
        lengths=jnp.full_like(beams.best.lengths, beams.step),
        log_probs=log_probs,
        finished=jnp.ones_like(beams.best.finished),
    )
    better = log_probs / divisor > beams.best_score
    best = _selected(better, found, beams.best)
    return best, jnp.where(better, log_probs / divisor, beams.best_score)


def _selected(first: jax.Array, a: Generation, b: Generation) -> Generation:
    """Rows of a where `first` [B], of b elsewhere."""
    return jax.tree.map(
        lambda x, y: jnp.where(first.reshape((-1,) + (1,) * (x.ndim - 1)), x, y), a, b
    )
