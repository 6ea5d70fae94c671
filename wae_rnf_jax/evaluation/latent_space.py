"""Sentences to codes and back: encoding, paths between sentences, prior codes.

Letters: B sentences, L words, Z latent, P points of a path.

A sentence's code is zk = flow(center): the image of the posterior's center, which is what the
decoder reads. The prior is on zk, so a prior draw is decoded as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.data.vocabulary import Vocabulary, first_reserved_word
from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.geometry import check_flat_support, compared_paths
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.curves import resampled_curve
from wae_rnf_jax.functional.distributions import Posterior, Prior
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.functional.special_ids import PAD_ID
from wae_rnf_jax.functional.spherical import slerp
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.runs.trained_model import TrainedModel

_LENGTH_STEP = 16  # lengths are rounded up to it, so that few shapes are compiled


@dataclass(frozen=True)
class Codes:
    """Sentences as codes.

    Attributes:
      posterior: of the B sentences, before the flow.
      z0: [B, Z], the posteriors' centers.
      zk: [B, Z], flow(z0): what the decoder reads, and what is called the sentences' codes.
      unknown: per sentence, the words that the vocabulary lacks and that were read as `<unk>`.
    """

    posterior: Posterior
    z0: jax.Array
    zk: jax.Array
    unknown: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        """B, the number of sentences."""
        return len(self.zk)


PATHS = ("straight", "spherical", "geodesic")


class Interpolation(NamedTuple):
    """A path between two sentences' codes.

    Attributes:
      sentences: P texts, the first and last from the ends' codes.
      shares: float64 [P], from 0 to 1: how far along the path each point is, by the length in
        which the points are evenly spaced.
      codes: [P, Z].
      unknown: for either end, the words read as `<unk>`.
    """

    sentences: tuple[str, ...]
    shares: np.ndarray
    codes: jax.Array
    unknown: tuple[tuple[str, ...], ...]


def interpolate(start: jax.Array, end: jax.Array, *, num_points: int) -> jax.Array:
    """Evenly spaced points on the straight line between two codes, both ends included.

    Args:
      start: [Z].
      end: [Z].
      num_points: P, at least 2.

    Returns:
      [P, Z].

    Raises:
      ValueError: if num_points is below 2.

    >>> interpolate(jnp.zeros(1), jnp.ones(1), num_points=3).tolist()
    [[0.0], [0.5], [1.0]]
    """
    chex.assert_rank([start, end], 1)
    chex.assert_equal_shape([start, end])
    if num_points < 2:
        raise ValueError(f"a path between two codes has at least 2 points, got {num_points}")
    share = jnp.linspace(0.0, 1.0, num_points, dtype=start.dtype)[:, None]
    return (1 - share) * start[None, :] + share * end[None, :]


def prior_codes(key: jax.Array, num_codes: int, prior: Prior, *, first_index: int = 0) -> jax.Array:
    """Draws from a prior, each keyed by its number, whatever the count.

    Args:
      key: of all draws.
      num_codes: how many.
      prior: on R^Z.
      first_index: number of the first.

    Returns:
      [num_codes, Z].
    """
    index = first_index + jnp.arange(num_codes, dtype=jnp.int32)
    return _keyed_draws(key, index, prior)


def prior_sentences(
    trained: TrainedModel,
    num_sentences: int,
    *,
    decoding: Decoding,
) -> tuple[str, ...]:
    """Sentences decoded from draws of the prior; more of them begin with the same ones.

    Args:
      trained: a model; one without a latent code is a language model, whose sentences are drawn
        as they are.
      num_sentences: how many.
      decoding: how codes are decoded; its seed is that of the codes too.

    Returns:
      The sentences.

    Raises:
      InputError: as `decoded_sentences`.
    """
    # Rows of words have the keys of their numbers, none of which is as large as this one.
    key = jax.random.fold_in(random_key(decoding.seed), 2**32 - 1)
    codes = prior_codes(key, num_sentences, trained.model.prior)
    return decoded_sentences(trained, codes, decoding=decoding)


def encode_sentences(
    trained: TrainedModel,
    sentences: Sequence[str],
    *,
    batch_size: int = 64,
) -> Codes:
    """The codes of sentences.

    Args:
      trained: a model with a latent code.
      sentences: text; at least one sentence, none empty.
      batch_size: sentences encoded at once; of fewer, as many rows as the next power of 2.

    Returns:
      Codes and posteriors, and the words that were read as `<unk>`.

    Raises:
      InputError: for no sentence, an empty one, one that holds a reserved word such as
        `<eos>`, or a model without a latent code.
    """
    _check_code(trained)
    rows, unknown = _word_ids(trained.vocabulary, sentences)
    return Codes(*_encoded(trained.model, rows, batch_size), unknown)


def split_codes(
    trained: TrainedModel, split: TokenSplit, rows: Sequence[int], *, batch_size: int = 256
) -> jax.Array:
    """The codes zk of sentences of a split, of the very tokens that it has.

    What `data.max_words` has cut within a word is other tokens once it is text again.

    Args:
      trained: a model with a latent code.
      split: of its corpus.
      rows: numbers of N sentences, at least one.
      batch_size: sentences encoded at once.

    Returns:
      [N, Z].

    Raises:
      InputError: for a model without a latent code.
    """
    _check_code(trained)
    return _encoded(trained.model, [split.sentence(row) for row in rows], batch_size)[2]


def _check_code(trained: TrainedModel) -> None:
    if trained.model.latent_dim == 0:
        raise InputError(
            "this model is a language model: it has no latent code, so it cannot encode a sentence"
        )


def _encoded(
    model: BoundModel, rows: Sequence[Sequence[int]], batch_size: int
) -> tuple[Posterior, jax.Array, jax.Array]:
    """Posteriors, their centers and codes zk of rows of word ids."""
    batch_size = min(batch_size, 1 << (len(rows) - 1).bit_length())  # one sentence is one row
    parts = [
        _posterior_codes(model, *_padded(rows[first : first + batch_size], batch_size))
        for first in range(0, len(rows), batch_size)
    ]
    # On the host: JAX would compile the concatenation of each number of parts.
    return jax.tree.map(lambda *part: jnp.asarray(np.concatenate(part)[: len(rows)]), *parts)


def interpolate_sentences(
    trained: TrainedModel,
    start: str,
    end: str,
    *,
    num_points: int,
    path: str = "straight",
    decoding: Decoding | None = None,
) -> Interpolation:
    """Sentences along a path between the codes of two sentences.

    Args:
      trained: a model with a latent code.
      start: text.
      end: text.
      num_points: P, the ends included.
      path: "straight", and where codes lie on a sphere, its shadow there; "spherical": along a
        great circle, the norm changing linearly; or "geodesic": of locally least Fisher–Rao
        length, with the words of both sentences before each next one; its points are as far
        from each other in that length.
      decoding: how codes are decoded; greedy unless told.

    Returns:
      The decoded sentences, their codes, and the words that were read as `<unk>`.

    Raises:
      InputError: as `encode_sentences`, for an unknown path, for fewer than 2 points, and for a
        great circle through codes of one dimension.
    """
    if num_points < 2:
        raise InputError(f"an interpolation needs at least 2 points, got {num_points}")
    if path not in PATHS:
        raise InputError(f"there is no path {path!r}: it must be one of {', '.join(PATHS)}")
    if path == "spherical" and trained.model.latent_dim == 1:
        raise InputError(
            "the codes have one dimension, where there are no great circles: use the straight path"
        )
    encoded = encode_sentences(trained, (start, end), batch_size=2)
    if path == "geodesic":
        check_flat_support(trained.model)
        arrays = sentence_arrays(trained.vocabulary, (start, end))
        found = compared_paths(trained.model, *encoded.zk, *arrays)
        if not found.geodesic.converged:
            warn("the geodesic did not converge: a shorter path may lie near the one shown")
        codes = resampled_curve(found.geodesic.curve, num_points=num_points)
    elif path == "spherical":
        codes = slerp(*encoded.zk, jnp.linspace(0.0, 1.0, num_points))
    else:
        codes = interpolate(*encoded.zk, num_points=num_points)
        codes = trained.model.prior.projected(codes)
    texts = decoded_sentences(trained, codes, decoding=decoding, batch_size=num_points)
    return Interpolation(texts, np.linspace(0.0, 1.0, num_points), codes, encoded.unknown)


def sentence_arrays(
    vocabulary: Vocabulary, sentences: Sequence[str]
) -> tuple[jax.Array, jax.Array]:
    """Sentences as a model takes them.

    Args:
      vocabulary: of the model.
      sentences: text; at least one sentence, none empty.

    Returns:
      Word ids [B, L] and lengths [B].

    Raises:
      InputError: for no sentence, an empty one, or one that holds a reserved word.
    """
    rows, _ = _word_ids(vocabulary, sentences)
    return _padded(rows, len(rows))


def _word_ids(
    vocabulary: Vocabulary, sentences: Sequence[str]
) -> tuple[list[list[int]], tuple[tuple[str, ...], ...]]:
    """Ids of each sentence, and the words of each that stand for nothing in the vocabulary."""
    if not sentences:
        raise InputError("there is no sentence to encode; give at least one")
    rows, unknown = [], []
    for number, sentence in enumerate(sentences, start=1):
        words = sentence.split()
        if not words:
            raise InputError(f"sentence {number} is empty; each needs at least one word")
        reserved = first_reserved_word(words)
        if reserved is not None:
            raise InputError(f"sentence {number} contains the word {reserved}, which is reserved")
        rows.append(vocabulary.encode(sentence))
        unknown.append(vocabulary.unknown_words(sentence))
    return rows, tuple(unknown)


def _padded(rows: Sequence[Sequence[int]], batch_size: int) -> tuple[jax.Array, jax.Array]:
    """Token and length arrays of `batch_size` rows; those beyond the sentences are empty."""
    longest = max(len(row) for row in rows)
    width = -(-longest // _LENGTH_STEP) * _LENGTH_STEP
    tokens = np.full((batch_size, width), PAD_ID, np.int32)
    lengths = np.zeros(batch_size, np.int32)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row
        lengths[number] = len(row)
    return jnp.asarray(tokens), jnp.asarray(lengths)


@jax.jit
def _posterior_codes(
    model: BoundModel, tokens: jax.Array, lengths: jax.Array
) -> tuple[Posterior, jax.Array, jax.Array]:
    posterior = model.infer(tokens, lengths)
    zk, _ = model.flow_forward(posterior.center)
    return posterior, posterior.center, zk


@jax.jit
def _keyed_draws(key: jax.Array, index: jax.Array, prior: Prior) -> jax.Array:
    return prior.sample(example_keys(key, index))
