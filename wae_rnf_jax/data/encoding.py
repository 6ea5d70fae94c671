"""Counting the words of a shard and turning them into ids: what the processes do.

Shapes: W words of a block, its ends of sentences among them; S sentences.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wae_rnf_jax.data.notes import Doubts, doubtful_words, merged_doubts, sentence_hashes
from wae_rnf_jax.data.shards import END, Block, Shard, sentence_ends
from wae_rnf_jax.data.special_words import UNKNOWN_WORD
from wae_rnf_jax.data.tokenizers import WHITESPACE, Tokenizer
from wae_rnf_jax.data.tokens import token_dtype
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.functional.special_ids import EOS_ID, UNK_ID

__all__ = ["EncodedShard", "counted_words", "encoded_shard"]


class EncodedShard(NamedTuple):
    """The sentences of a shard, those without words left out.

    Attributes:
      tokens: word ids of all sentences, one after the other, unsigned.
      lengths: words of each sentence, int32 [S], each above 0.
      skipped: how many sentences had no words.
      labels: number of each sentence's label in ``label_names``, int32 [S], or None.
      label_names: labels in order of first appearance.
      log_probs: of each sentence in nats, float64 [S], or None.
      hashes: of each sentence, as `sentence_hashes` gives them, uint64 [S].
      doubts: about the words.
      unknown: how many tokens are outside the vocabulary, ``<unk>`` in the text left aside.
      altered: how many sentences are not what their tokens, known or not, stand for.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    skipped: int
    labels: np.ndarray | None
    label_names: tuple[str, ...]
    log_probs: np.ndarray | None
    hashes: np.ndarray
    doubts: Doubts
    unknown: int = 0
    altered: int = 0


_NOTHING = EncodedShard(
    tokens=np.zeros(0, np.uint8),
    lengths=np.zeros(0, np.int32),
    skipped=0,
    labels=None,
    label_names=(),
    log_probs=None,
    hashes=np.zeros(0, np.uint64),
    doubts={},
)


def counted_words(
    shard: Shard, *, tokenizer: Tokenizer = WHITESPACE, max_words: int
) -> Counter[str]:
    """Counts the words of a shard.

    Args:
      shard: some sentences.
      tokenizer: what makes words of them.
      max_words: words of a sentence that count, from its beginning; 0 for all.

    Returns:
      Occurrences of each word, in order of first appearance.

    Raises:
      InputError: if a sentence is bad.
    """
    counts: Counter[str] = Counter()
    for block in shard.blocks():
        words = tokenizer.tokens(block.words)
        if max_words:
            ends = np.flatnonzero(sentence_ends(words))
            words = itertools.compress(words, _places(ends) < max_words)
        counts.update(words)
    del counts[END]
    return counts


def _places(ends: np.ndarray) -> np.ndarray:
    """Place of each word in its sentence, integer [W], from the places of the sentences' ends."""
    begins = np.concatenate([[0], ends[:-1] + 1])
    return np.arange(ends[-1] + 1) - np.repeat(begins, ends - begins + 1)


def encoded_shard(shard: Shard, *, vocabulary: Vocabulary, max_words: int) -> EncodedShard:
    """Turns the words of a shard into ids.

    Args:
      shard: some sentences.
      vocabulary: words and ids.
      max_words: sentences are cut after so many words; 0 for never.

    Returns:
      The ids, with what else is known of the sentences.

    Raises:
      InputError: if a sentence is bad.
    """
    names: dict[str, int] = {}
    parts = [_encoded_block(block, vocabulary, max_words, names) for block in shard.blocks()]
    parts = parts or [_NOTHING]
    return EncodedShard(
        tokens=np.concatenate([part.tokens for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        skipped=sum(part.skipped for part in parts),
        labels=_joined([part.labels for part in parts]),
        label_names=tuple(names),
        log_probs=_joined([part.log_probs for part in parts]),
        hashes=np.concatenate([part.hashes for part in parts]),
        doubts=merged_doubts(part.doubts for part in parts),
        unknown=sum(part.unknown for part in parts),
        altered=sum(part.altered for part in parts),
    )


def _encoded_block(
    block: Block, vocabulary: Vocabulary, max_words: int, names: dict[str, int]
) -> EncodedShard:
    words = vocabulary.tokenizer.tokens(block.words)
    ids = vocabulary.ids(words)
    is_word = ids != EOS_ID
    ends = np.flatnonzero(~is_word)
    lengths = np.diff(ends, prepend=-1) - 1
    if max_words:
        is_word &= _places(ends) < max_words
        lengths = np.minimum(lengths, max_words)
    kept = lengths > 0
    labels, log_probs = None, None
    if block.labels is not None:
        numbers = [names.setdefault(name, len(names)) for name in _chosen(block.labels, kept)]
        labels = np.asarray(numbers, np.int32)
    if block.log_probs is not None:
        log_probs = np.asarray(_chosen(block.log_probs, kept), np.float64)
    tokens, lengths = ids[is_word], lengths[kept].astype(np.int32)
    return EncodedShard(
        tokens=tokens.astype(token_dtype(vocabulary.size)),
        lengths=lengths,
        skipped=int((~kept).sum()),
        labels=labels,
        label_names=(),
        log_probs=log_probs,
        hashes=sentence_hashes(tokens, lengths),
        doubts=doubtful_words(block.words),
        unknown=sum(words[i] != UNKNOWN_WORD for i in np.flatnonzero((ids == UNK_ID) & is_word)),
        altered=_num_altered(block.words, words, vocabulary.tokenizer),
    )


def _num_altered(words: Sequence[str], tokens: Sequence[str], tokenizer: Tokenizer) -> int:
    """How many sentences are not the text of their tokens."""
    if tokenizer == WHITESPACE:
        return 0
    if tokenizer.by_word:
        altered = {word for word in set(words) if _is_altered(word, tokenizer)}
        return sum(map(bool, map(altered.intersection, _sentences(words)))) if altered else 0
    pairs = zip(_sentences(words), _sentences(tokens), strict=True)
    return sum(" ".join(sentence) != tokenizer.text(some) for sentence, some in pairs)


@functools.lru_cache(maxsize=1 << 20)
def _is_altered(word: str, tokenizer: Tokenizer) -> bool:
    return word != END and tokenizer.text(tokenizer.tokens([word, END])[:-1]) != word


def _sentences(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The words of each of a block's sentences."""
    begin = 0
    for end in np.flatnonzero(sentence_ends(words)).tolist():
        yield words[begin:end]
        begin = end + 1


def _chosen(values: Sequence, kept: np.ndarray) -> list:
    return list(itertools.compress(values, kept))


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    return None if parts[0] is None else np.concatenate(parts)
