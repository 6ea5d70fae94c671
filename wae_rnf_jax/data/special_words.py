"""The words that stand for structure, whatever the tokenization."""

from __future__ import annotations

from collections.abc import Sequence

from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

__all__ = ["END", "RESERVED_WORDS", "SPECIAL_WORDS", "UNKNOWN_WORD", "first_reserved_word"]

_SPECIALS = {PAD_ID: "<pad>", UNK_ID: "<unk>", BOS_ID: "<bos>", EOS_ID: "<eos>"}
SPECIAL_WORDS = tuple(_SPECIALS[i] for i in range(len(_SPECIALS)))
UNKNOWN_WORD = SPECIAL_WORDS[UNK_ID]
# Where sentences follow each other, it stands after each. No sentence may hold it, being reserved.
END = SPECIAL_WORDS[EOS_ID]
# A text may hold <unk>, which means the special; the other three mark structure and may not occur.
RESERVED_WORDS = frozenset(SPECIAL_WORDS) - {UNKNOWN_WORD}


def first_reserved_word(words: Sequence[str]) -> str | None:
    """First of ``words`` that no text may hold (``<pad>``, ``<bos>``, ``<eos>``), or None."""
    if RESERVED_WORDS.isdisjoint(words):
        return None
    return next(word for word in words if word in RESERVED_WORDS)
