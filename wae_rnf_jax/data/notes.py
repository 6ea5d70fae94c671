"""What is doubtful about a text: notes that are shown and stop nothing.

Of a text's form, its files tell; of its words, the blocks that are encoded; of repetitions, a hash
of each sentence's word ids, which is what a model sees of it.

Shapes: W words, S sentences.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from wae_rnf_jax.data.text import BYTE_ORDER_MARK, plain_lines
from wae_rnf_jax.errors import InputError

__all__ = [
    "Doubts",
    "Repetitions",
    "doubtful_words",
    "form_notes",
    "label_notes",
    "merged_doubts",
    "sentence_hashes",
    "word_notes",
]

# Kind of doubt -> how many words there are of it, and one of them.
Doubts = dict[str, tuple[int, str]]

# Controls, soft hyphens, marks of direction and the like. Not among them: the two joiners of
# Persian, Indic scripts and emoji.
_INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_FOREIGN_MARKS = frozenset(
    "_UNK _PAD _GO _EOS _BOS UNK <UNK> <PAD> <BOS> <EOS> <SOS> <sos> <s> </s> <S> </S> <mask> "
    "[UNK] [PAD] [CLS] [SEP] [MASK] [BOS] [EOS] <|endoftext|>".split()
)
_WORD_NOTES = {
    "invisible": "{count:,} words contain invisible characters, such as {example}: to the model "
    "they differ from the words that look the same",
    "decomposed": "{count:,} words are not in Unicode's composed form (NFC), such as {example}: to "
    "the model they differ from the same words in composed form",
    "foreign": "{count:,} words are special tokens of other programs, such as {example}, and are "
    "read as ordinary words: write <unk> for an unknown word, and mark no beginnings and ends",
}
_BLOCK_BYTES = 1 << 20
_FORM_BYTES = 1 << 16  # of a file's beginning, which tells what form its lines have
_LEAST_LINES = 5  # fewer have a form in common by chance
_MOST = 0.95  # of the lines
_LABEL = re.compile(r"[-+]?\d+(\.\d+)?|__label__\S+")
_MOST_LABELS = 20
_SHOWN_LABELS = 5
_MOST_HASHES = 1 << 22


def form_notes(file: Path, *, label: str) -> Iterator[str]:
    """What is doubtful about the form of a text's lines.

    Args:
      file: the text.
      label: "none", or "leading" where the first field of each line is its label.

    Yields:
      One sentence for each doubt.

    Raises:
      InputError: if the file cannot be read.
    """
    returns, marks, lines, beginning = 0, 0, 0, b""
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                block += stream.readline()
                beginning = beginning or block
                returns += block.count(b"\r") - block.count(b"\r\n")
                marks += block.startswith(BYTE_ORDER_MARK) + block.count(b"\n" + BYTE_ORDER_MARK)
                lines += plain_lines(block).count(b"\n")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    if returns:
        yield f"{file} has {returns:,} lone carriage returns, which are read as ends of lines"
    if marks:
        yield f"{file} has a byte-order mark before {_lines(marks)}, which is ignored"
    if lines < 2:
        yield f"{file} is a single line and is read as one sentence: put one sentence on each line"
    text = plain_lines(beginning[:_FORM_BYTES]).decode(errors="replace")
    # The last one may be cut short.
    yield from _line_form(file, [line for line in text.split("\n")[:-1] if line.strip()], label)


def _lines(number: int) -> str:
    return "one line" if number == 1 else f"{number:,} lines"


def _line_form(file: Path, lines: Sequence[str], label: str) -> Iterator[str]:
    """Whether lines look like JSON or a table, or like sentences whose label stands before them."""
    if len(lines) < _LEAST_LINES:
        return
    first = Counter(line.split()[0] for line in lines)
    if label == "none" and len(first) <= _MOST_LABELS and all(map(_LABEL.fullmatch, first)):
        yield (
            f"every line of {file} seems to begin with a label, such as {next(iter(first))}, which "
            "is read as a word: data.label=leading removes it"
        )
        return
    ends = Counter(line.strip()[:: max(1, len(line.strip()) - 1)] for line in lines)
    if ends["{}"] + ends["[]"] > _MOST * len(lines):
        yield f"the lines of {file} look like JSON, but each whole line is read as a sentence"
        return
    for delimiter, name in ((",", "CSV"), ("\t", "tab-separated fields")):
        fields = Counter(_num_fields(line, delimiter) for line in lines)
        number, common = fields.most_common(1)[0]
        labelled = delimiter == "\t" and label == "leading" and number == 2
        if number > 1 and common > _MOST * len(lines) and not labelled:
            yield f"the lines of {file} look like {name}, but each whole line is read as a sentence"
            break


def _num_fields(line: str, delimiter: str) -> int:
    """Fields of a line of a table; 0 where it is none, as blanks after commas are a sentence's."""
    try:
        fields = next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return 0
    return 0 if any(field.startswith(" ") for field in fields[1:]) else len(fields)


def doubtful_words(words: Sequence[str]) -> Doubts:
    """Looks through words for those that somebody may not have meant.

    Args:
      words: of a text, the ends of sentences too.

    Returns:
      What was found, by kind.
    """
    distinct = set(words)
    found: dict[str, Iterable[str]] = {"foreign": _FOREIGN_MARKS & distinct}
    together = " ".join(distinct)  # one search of all is quick, and most often finds nothing
    if _INVISIBLE.search(together):
        found["invisible"] = filter(_INVISIBLE.search, distinct)
    if not unicodedata.is_normalized("NFC", together):
        found["decomposed"] = (w for w in distinct if not unicodedata.is_normalized("NFC", w))
    doubtful = {kind: some for kind, those in found.items() if (some := sorted(those))}
    counts = Counter(words) if doubtful else {}
    return {kind: (sum(counts[word] for word in some), some[0]) for kind, some in doubtful.items()}


def merged_doubts(parts: Iterable[Doubts]) -> Doubts:
    """The doubts of all parts; the example is the first part's."""
    total: Doubts = {}
    for part in parts:
        for kind, (count, example) in part.items():
            before, first = total.get(kind, (0, example))
            total[kind] = before + count, first
    return total


def word_notes(doubts: Doubts) -> Iterator[str]:
    """Doubts as sentences; what cannot be seen of an example is written as an escape."""
    for kind, note in _WORD_NOTES.items():
        if kind in doubts:
            count, example = doubts[kind]
            yield note.format(count=count, example=example if kind == "foreign" else ascii(example))


def label_notes(labels: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Which labels there are, and which of them the training split lacks.

    Args:
      labels: their names; there may be none.
      counts: for each split, how many sentences have which label.

    Yields:
      One sentence for each note.
    """
    if not labels:
        return
    some = ", ".join(labels[:_SHOWN_LABELS])
    yield f"{len(labels):,} labels found: {some}{', …' if len(labels) > _SHOWN_LABELS else ''}"
    for split in ("valid", "test"):
        if lacking := [label for label in counts[split] if label not in counts["train"]]:
            yield (
                f"{len(lacking):,} labels of the {split} split do not occur in the training split, "
                f"such as {lacking[0]}"
            )


def sentence_hashes(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """A number for each sentence, the same for the same words in the same order.

    Args:
      tokens: word ids of all sentences, one after the other, integer [W].
      lengths: words of each, integer [S], each above 0.

    Returns:
      uint64 [S].
    """
    begins = np.cumsum(lengths, dtype=np.int64) - lengths
    if len(begins) == 0:
        return np.zeros(0, np.uint64)
    places = np.arange(len(tokens), dtype=np.uint64)
    places -= np.repeat(begins.astype(np.uint64), lengths)
    mixed = tokens.astype(np.uint64)
    mixed |= places << np.uint64(32)
    # The finalizer of splitmix64, so that sums of a sentence's words meet by chance alone.
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(29)
    return np.add.reduceat(mixed, begins)


class Repetitions:
    """Which share of sentences stands in the training split, or stands there more than once.

    Of a large text the sentences whose hashes end in zeros are looked at, all repetitions of one
    alike, so that memory is bounded and the shares are estimates.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, list[np.ndarray]] = {}
        self._mask = np.uint64(0)

    def add(self, split: str, hashes: np.ndarray) -> None:
        """Adds sentences of a split, as `sentence_hashes` gives them."""
        kept = self._hashes.setdefault(split, [])
        kept.append(hashes[hashes & self._mask == 0])
        while sum(map(len, kept)) > _MOST_HASHES:
            self._mask = self._mask * np.uint64(2) + np.uint64(1)
            kept[:] = [np.concatenate([part[part & self._mask == 0] for part in kept])]

    def notes(self) -> Iterator[str]:
        """What there is to say of them, a sentence each."""
        splits = {name: np.concatenate(parts) for name, parts in self._hashes.items()}
        trained = splits["train"]
        if repeated := len(trained) - len(np.unique(trained)):
            yield (f"{repeated / len(trained):.1%} of the training sentences repeat an earlier one")
        for name in ("valid", "test"):
            here = splits[name][splits[name] & self._mask == 0]
            if known := int(np.isin(here, trained).sum()):
                yield (
                    f"{_share(known, len(here))} of the sentences of the {name} split also occur "
                    "in the training split: on these, memorization is measured"
                )


def _share(number: int, total: int) -> str:
    return f"{number / total:.1%}" if number / total >= 0.001 else "less than 0.1%"
