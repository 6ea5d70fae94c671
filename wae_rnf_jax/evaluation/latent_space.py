"""Sentences to codes and back: encoding, reconstruction, paths between sentences, prior codes.

Letters: B sentences, L words, Z latent, P points of a path.

A sentence's code is zk = flow(mean): the image of the posterior's mean, which is what the decoder
reads. The prior is on zk, so a prior draw is decoded as it is.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.vocabulary import Vocabulary, first_reserved_word
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.geometry import compared_paths
from wae_rnf_jax.functional.curves import resampled_curve
from wae_rnf_jax.functional.sequences import PAD_ID, example_keys, example_normal
from wae_rnf_jax.functional.spherical import slerp

_LENGTH_STEP = 16  # lengths are rounded up to it, so that few shapes are compiled


class EncodedSentences(NamedTuple):
    """Sentences as codes.

    Attributes:
        codes: [B, Z], zk = flow(mean).
        mean: [B, Z], of the posterior before the flow.
        log_var: [B, Z], of the posterior before the flow.
        unknown: per sentence, the words that the vocabulary lacks and that were read as `<unk>`.
    """

    codes: jax.Array
    mean: jax.Array
    log_var: jax.Array
    unknown: tuple[tuple[str, ...], ...]


class Reconstructions(NamedTuple):
    """Sentences decoded from the codes of sentences.

    Attributes:
        sentences: per sentence, the text that its code decodes to.
        unknown: per sentence, the words read as `<unk>`.
    """

    sentences: tuple[str, ...]
    unknown: tuple[tuple[str, ...], ...]


PATHS = ("straight", "spherical", "geodesic")


class Interpolation(NamedTuple):
    """A path between two sentences' codes.

    Attributes:
        sentences: P texts, the first and last from the ends' codes.
        codes: [P, Z].
        unknown: for either end, the words read as `<unk>`.
    """

    sentences: tuple[str, ...]
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


def prior_codes(key: jax.Array, num_codes: int, dim: int, *, first_index: int = 0) -> jax.Array:
    """Draws from the prior N(0, I), each keyed by its number, whatever the count.

    Args:
        key: of all draws.
        num_codes: how many.
        dim: Z.
        first_index: number of the first.

    Returns:
        [num_codes, Z].
    """
    index = first_index + jnp.arange(num_codes, dtype=jnp.int32)
    return _keyed_normal(key, index, dim=dim)


def prior_sentences(
    model: Any,
    variables: Mapping[str, Any],
    vocabulary: Vocabulary,
    num_sentences: int,
    *,
    decoding: Decoding,
) -> tuple[str, ...]:
    """Sentences decoded from draws of the prior; more of them begin with the same ones.

    Args:
        model: a `TextAutoencoder`; one without a latent code is a language model, whose sentences
            are drawn as they are.
        variables: its parameters and running statistics.
        vocabulary: of the model.
        num_sentences: how many.
        decoding: how codes are decoded; its seed is that of the codes too.

    Returns:
        The sentences.

    Raises:
        InputError: as `decoded_sentences`.
    """
    key = jax.random.fold_in(jax.random.key(decoding.seed), 1)
    codes = prior_codes(key, num_sentences, model.latent_dim)
    return decoded_sentences(model, variables, vocabulary, codes, decoding=decoding)


def encode_sentences(
    model: Any,
    variables: Mapping[str, Any],
    vocabulary: Vocabulary,
    sentences: Sequence[str],
    *,
    batch_size: int = 64,
) -> EncodedSentences:
    """The codes of sentences.

    Args:
        model: a `TextAutoencoder` with a latent code.
        variables: its parameters and running statistics.
        vocabulary: of the model.
        sentences: words parted by blanks; at least one sentence, none empty.
        batch_size: sentences encoded at once.

    Returns:
        Codes and posteriors, and the words that were read as `<unk>`.

    Raises:
        InputError: for no sentence, an empty one, one that holds a reserved word such as
            `<eos>`, or a model without a latent code.
    """
    if model.latent_dim == 0:
        raise InputError(
            "this model is a language model: it has no latent code, so it cannot encode a sentence"
        )
    rows, unknown = _word_ids(vocabulary, sentences)
    parts = [
        _posterior_codes(model, variables, *_padded(rows[first : first + batch_size], batch_size))
        for first in range(0, len(rows), batch_size)
    ]
    codes, mean, log_var = (jnp.concatenate(part)[: len(rows)] for part in zip(*parts, strict=True))
    return EncodedSentences(codes, mean, log_var, unknown)


def reconstruct_sentences(
    model: Any,
    variables: Mapping[str, Any],
    vocabulary: Vocabulary,
    sentences: Sequence[str],
    *,
    decoding: Decoding | None = None,
    batch_size: int = 64,
) -> Reconstructions:
    """What sentences become on the way through their codes.

    Args:
        model: a `TextAutoencoder` with a latent code.
        variables: its parameters and running statistics.
        vocabulary: of the model.
        sentences: words parted by blanks.
        decoding: how codes are decoded; greedy unless told.
        batch_size: sentences at once.

    Returns:
        The decoded sentences, and the words that were read as `<unk>`.

    Raises:
        InputError: as `encode_sentences`.
    """
    encoded = encode_sentences(model, variables, vocabulary, sentences, batch_size=batch_size)
    texts = decoded_sentences(
        model, variables, vocabulary, encoded.codes, decoding=decoding, batch_size=batch_size
    )
    return Reconstructions(texts, encoded.unknown)


def interpolate_sentences(
    model: Any,
    variables: Mapping[str, Any],
    vocabulary: Vocabulary,
    start: str,
    end: str,
    *,
    num_points: int,
    path: str = "straight",
    decoding: Decoding | None = None,
) -> Interpolation:
    """Sentences along a path between the codes of two sentences.

    Args:
        model: a `TextAutoencoder` with a latent code.
        variables: its parameters and running statistics.
        vocabulary: of the model.
        start: words parted by blanks.
        end: words parted by blanks.
        num_points: P, the ends included.
        path: "straight"; "spherical": along a great circle, the norm changing linearly; or
            "geodesic": of locally least Fisher–Rao length, with the words of both sentences before
            each next one; its points are as far from each other in that length.
        decoding: how codes are decoded; greedy unless told.

    Returns:
        The decoded sentences, their codes, and the words that were read as `<unk>`.

    Raises:
        InputError: as `encode_sentences`, and for fewer than 2 points.
    """
    if num_points < 2:
        raise InputError(f"an interpolation needs at least 2 points, got {num_points}")
    encoded = encode_sentences(model, variables, vocabulary, (start, end), batch_size=2)
    if path == "geodesic":
        arrays = sentence_arrays(vocabulary, (start, end))
        found = compared_paths(model, variables, *encoded.codes, *arrays)
        codes = resampled_curve(found.geodesic.curve, num_points=num_points)
    elif path == "spherical":
        codes = slerp(*encoded.codes, jnp.linspace(0.0, 1.0, num_points))
    else:
        codes = interpolate(*encoded.codes, num_points=num_points)
    texts = decoded_sentences(
        model, variables, vocabulary, codes, decoding=decoding, batch_size=num_points
    )
    return Interpolation(texts, codes, encoded.unknown)


def sentence_arrays(
    vocabulary: Vocabulary, sentences: Sequence[str]
) -> tuple[jax.Array, jax.Array]:
    """Sentences as a model takes them.

    Args:
        vocabulary: of the model.
        sentences: words parted by blanks; at least one sentence, none empty.

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
            raise InputError(f"sentence {number} holds the word {reserved}, which is reserved")
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


@functools.partial(jax.jit, static_argnames="model")
def _posterior_codes(
    model: Any, variables: Mapping[str, Any], tokens: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    mean, log_var = model.apply(variables, tokens, lengths, method="encode")
    codes, _ = model.apply(variables, mean, method="flow_forward")
    return codes, mean, log_var


@functools.partial(jax.jit, static_argnames="dim")
def _keyed_normal(key: jax.Array, index: jax.Array, *, dim: int) -> jax.Array:
    return example_normal(example_keys(key, index), (dim,))
