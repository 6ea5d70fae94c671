"""Sentences out of a decoder: greedy, temperature, top-p and beam search.

Letters: B codes, W sentences decoded at once, L most predicted tokens, V vocabulary, Z latent.

All loops run on the device. Where there are more codes than are decoded at once, the place of a
sentence that has ended is taken by the next code's, so that no step is spent on ended sentences
while others wait. `<pad>` and `<bos>` are never produced. Reported log-probabilities are the
model's own, of the words and, where the sentence ended, of its end: neither temperature, top-p nor
forbidden words change them.
"""

from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.categorical import categorical_draws
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from wae_rnf_jax.models.bound import BoundModel

_COLDEST = 1e-30  # of the temperatures that are not greedy search


class Generation(NamedTuple):
    """Generated sentences.

    Attributes:
      tokens: int32 [B, L], words without their end, right-padded with `<pad>`.
      lengths: int32 [B], number of words.
      log_probs: [B], log-probability of what was predicted, nats.
      finished: bool [B], False where the sentence was cut at L words.
    """

    tokens: jax.Array
    lengths: jax.Array
    log_probs: jax.Array
    finished: jax.Array


class _Places(NamedTuple):
    """W sentences under way."""

    row: jax.Array  # [W] whose code it is; B where no code is left
    position: jax.Array  # [W] tokens predicted so far
    carry: Any
    previous: jax.Array  # [W] the last word
    following: jax.Array  # [] the first row that is not begun
    sentences: Generation  # of all B rows


def greedy_search(
    model: BoundModel,
    zk: jax.Array,
    *,
    max_length: int,
    allow_unknown: bool = True,
    batch_size: int | None = None,
) -> Generation:
    """The most probable next word at every step.

    Args:
      model: with its variables.
      zk: [B, Z], codes as the decoder reads them.
      max_length: most tokens predicted, the end counted.
      allow_unknown: whether `<unk>` may be produced.
      batch_size: W; None for all. It changes no sentence.

    Returns:
      The sentences.

    Raises:
      ValueError: if max_length or batch_size is below 1.
    """
    unused = jax.random.split(random_key(0), zk.shape[0])
    return _checked_samples(model, zk, unused, max_length, 0.0, 1.0, allow_unknown, batch_size)


def ancestral_samples(
    model: BoundModel,
    zk: jax.Array,
    key: jax.Array,
    *,
    max_length: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    allow_unknown: bool = True,
    batch_size: int | None = None,
) -> Generation:
    """Words drawn one after the other; at temperature 1 and top_p 1 the model's own distribution.

    Top-p is the nucleus of Holtzman et al. 2020 ("The Curious Case of Neural Text Degeneration"):
    the fewest most probable words (after the temperature) that hold at least top_p of the
    probability.

    Args:
      model: see `greedy_search`.
      zk: [B, Z], codes.
      key: of the draws; row i uses fold_in(key, i).
      max_length: most tokens predicted, the end counted.
      temperature: divides the logits; 0 is greedy search, and so is what is below 10⁻³⁰, where
        the quotients would leave single precision.
      top_p: share of the probability kept, in (0, 1].
      allow_unknown: whether `<unk>` may be produced.
      batch_size: see `greedy_search`.

    Returns:
      The sentences.

    Raises:
      ValueError: for a max_length or batch_size below 1, a negative temperature or top_p outside
        (0, 1].
    """
    keys = example_keys(key, jnp.arange(zk.shape[0], dtype=jnp.int32))
    return _checked_samples(
        model, zk, keys, max_length, temperature, top_p, allow_unknown, batch_size
    )


def _checked_samples(
    model: BoundModel,
    zk: jax.Array,
    keys: jax.Array,
    max_length: int,
    temperature: float,
    top_p: float,
    allow_unknown: bool,
    batch_size: int | None,
) -> Generation:
    chex.assert_rank(zk, 2)
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, got {max_length}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    return _sampling_loop(
        model,
        zk,
        keys,
        temperature,
        top_p,
        max_length=max_length,
        random=temperature >= _COLDEST,
        nucleus=top_p < 1,
        allow_unknown=allow_unknown,
        batch_size=zk.shape[0] if batch_size is None else min(batch_size, zk.shape[0]),
    )


def forbidden_words(vocab_size: int, *, allow_unknown: bool) -> jax.Array:
    """Words that a sentence never holds.

    Args:
      vocab_size: V.
      allow_unknown: whether `<unk>` may be produced.

    Returns:
      bool [V].
    """
    ids = [PAD_ID, BOS_ID] + ([] if allow_unknown else [UNK_ID])
    return jnp.zeros((vocab_size,), bool).at[jnp.asarray(ids)].set(True)


def _first_largest(scores: jax.Array) -> jax.Array:
    """As `argmax`, int32 [B], of scores [B, V]: two passes, which XLA vectorizes on a CPU."""
    word = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 1)
    largest = scores == scores.max(axis=-1, keepdims=True)
    return jnp.where(largest, word, scores.shape[1] - 1).min(axis=-1)


def _nucleus(log_probs: jax.Array, top_p: jax.Array) -> jax.Array:
    """Bool [B, V]: the fewest most probable words that together reach top_p."""
    probs = jax.nn.softmax(log_probs, axis=-1)
    order = jnp.argsort(-probs, axis=-1)
    ranked = jnp.take_along_axis(probs, order, axis=-1)
    # Of one share, however small, the first is kept: in single precision it may be 0.
    is_first = jnp.arange(probs.shape[-1])[None] == 0
    kept = is_first | (jnp.cumsum(ranked, axis=-1) - ranked < top_p)
    rows = jnp.arange(probs.shape[0])[:, None]
    return jnp.zeros_like(kept).at[rows, order].set(kept)


@partial(
    jax.jit,
    static_argnames=("max_length", "random", "nucleus", "allow_unknown", "batch_size"),
)
def _sampling_loop(
    model: BoundModel,
    zk: jax.Array,
    keys: jax.Array,
    temperature: jax.Array,
    top_p: jax.Array,
    *,
    max_length: int,
    random: bool,
    nucleus: bool,
    allow_unknown: bool,
    batch_size: int,
) -> Generation:
    num_rows = zk.shape[0]
    forbidden = forbidden_words(model.vocab_size, allow_unknown=allow_unknown)[None, :]

    def choice(log_probs: jax.Array, row: jax.Array, position: jax.Array) -> jax.Array:
        scores = jnp.where(forbidden, -jnp.inf, log_probs)
        if random:
            scores = scores / temperature
            if nucleus:
                scores = jnp.where(_nucleus(scores, top_p), scores, -jnp.inf)
            step_keys = jax.vmap(jax.random.fold_in)(keys[row], position)
            return jax.vmap(partial(categorical_draws, num_draws=1))(step_keys, scores)[:, 0]
        return _first_largest(scores)

    def started(row: jax.Array) -> Any:
        return model.start(zk[row], max_length)

    def refilled(free: jax.Array, row: jax.Array, following: jax.Array, carry: Any) -> Any:
        """The carry with the free places begun anew; where no code waits for one, as it is."""
        return jax.lax.cond(
            (following < num_rows) & free.any(),
            lambda: jax.tree.map(partial(_where_rows, free), started(row), carry),
            lambda: carry,
        )

    def advance(places: _Places) -> _Places:
        row, position, carry, previous, following, old = places
        carry, logits = model.decode_step(carry, previous, zk[row])
        log_probs = jax.nn.log_softmax(logits, axis=-1)
        words = choice(log_probs, row, position)
        gained = jnp.take_along_axis(log_probs, words[:, None], axis=-1)[:, 0]
        ends = words == EOS_ID
        # Row B, which no sentence has, is out of bounds: nothing is written there.
        sentences = Generation(
            tokens=old.tokens.at[row, position].set(jnp.where(ends, PAD_ID, words), mode="drop"),
            lengths=old.lengths.at[row].add(~ends, mode="drop"),
            log_probs=old.log_probs.at[row].add(gained, mode="drop"),
            finished=old.finished.at[row].set(ends, mode="drop"),
        )
        free = ends | (position + 1 >= max_length)
        row = jnp.where(free, jnp.minimum(following + jnp.cumsum(free) - 1, num_rows), row)
        return _Places(
            row=row,
            position=jnp.where(free, 0, position + 1),
            carry=refilled(free, row, following, carry),
            previous=jnp.where(free, BOS_ID, words),
            following=following + free.sum(),
            sentences=sentences,
        )

    first = jnp.arange(batch_size)
    places = _Places(
        row=first,
        position=jnp.zeros_like(first),
        carry=started(first),
        previous=jnp.full((batch_size,), BOS_ID, jnp.int32),
        following=jnp.asarray(batch_size),
        sentences=no_sentences(num_rows, max_length=max_length, log_prob=0.0),
    )
    places = jax.lax.while_loop(lambda places: jnp.any(places.row < num_rows), advance, places)
    return places.sentences


def _where_rows(where: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Rows of x where `where` [W] says so, else of y; x and y [W, ...]."""
    return jnp.where(where.reshape(-1, *[1] * (x.ndim - 1)), x, y)


def no_sentences(batch: int, *, max_length: int, log_prob: float) -> Generation:
    """Sentences before their first word.

    Args:
      batch: B.
      max_length: L.
      log_prob: the log-probability to begin with.

    Returns:
      B unfinished sentences without words.
    """
    return Generation(
        tokens=jnp.full((batch, max_length), PAD_ID, jnp.int32),
        lengths=jnp.zeros((batch,), jnp.int32),
        log_probs=jnp.full((batch,), log_prob, jnp.float32),
        finished=jnp.zeros((batch,), bool),
    )
