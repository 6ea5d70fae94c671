"""Tokenized splits as memory-mapped arrays.

A split of N sentences and M words is one array of ids and one of offsets; it is written piece by
piece and read in place, so neither takes memory in proportion to the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from wae_rnf_jax.errors import InputError

__all__ = ["TokenSplit", "TokenWriter", "token_dtype"]

_BLOCK = 1 << 24  # items at once


@dataclass(frozen=True)
class TokenSplit:
    """The sentences of one split.

    Attributes:
      tokens: word ids of all sentences, one after the other, unsigned [M]; no ``<bos>``, no
        ``<eos>``.
      offsets: int64 [N + 1]; sentence i is ``tokens[offsets[i]:offsets[i + 1]]``.
      log_probs: exact log-probability of each sentence in nats, float64 [N], or None where it
        is not known.
      labels: number of each sentence's label, int32 [N], or None where there are none.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    log_probs: np.ndarray | None = None
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        """N, the number of sentences."""
        return len(self.offsets) - 1

    @property
    def num_words(self) -> int:
        """M, the number of words in all sentences, ``<eos>`` not counted."""
        return len(self.tokens)

    @property
    def lengths(self) -> np.ndarray:
        """Number of words of each sentence, int32 [N]."""
        # Straight into the small type: of a large split, the differences in 64 bits are a burden.
        lengths = np.empty(len(self), np.int32)
        return np.subtract(self.offsets[1:], self.offsets[:-1], out=lengths, casting="unsafe")

    def occurrences(self, word_id: int) -> int:
        """How often a word stands in the split.

        Args:
          word_id: 0 … V−1.

        Returns:
          The number.
        """
        return sum(
            int(np.count_nonzero(self.tokens[begin : begin + _BLOCK] == word_id))
            for begin in range(0, len(self.tokens), _BLOCK)
        )

    def sentence(self, index: int) -> np.ndarray:
        """Word ids of one sentence.

        Args:
          index: 0 … N−1.

        Returns:
          Ids, unsigned [n].

        Raises:
          IndexError: if there is no such sentence.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def from_sentences(
        cls,
        sentences: Iterable[Iterable[int]],
        *,
        vocab_size: int,
        log_probs: Iterable[float] | None = None,
    ) -> TokenSplit:
        """A split held in memory.

        Args:
          sentences: word ids of each sentence.
          vocab_size: V; it sets the type of the ids.
          log_probs: exact log-probability of each sentence in nats, if known.

        Returns:
          The split.
        """
        rows = [np.asarray(list(ids), dtype=token_dtype(vocab_size)) for ids in sentences]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        tokens = np.concatenate(rows) if rows else np.zeros(0, token_dtype(vocab_size))
        exact = None if log_probs is None else np.asarray(list(log_probs), np.float64)
        return cls(tokens, offsets, exact)

    def save(self, directory: Path, *, vocab_size: int) -> None:
        """Writes the split's arrays as ``.npy`` files.

        Args:
          directory: folder to make.
          vocab_size: V; it sets the type of the ids on disk.
        """
        with TokenWriter(directory, vocab_size=vocab_size) as writer:
            writer.extend(self.tokens, self.lengths, log_probs=self.log_probs, labels=self.labels)

    @classmethod
    def load(cls, directory: Path) -> TokenSplit:
        """Opens what `save` or `TokenWriter` wrote, memory-mapped.

        Args:
          directory: folder of the split.

        Returns:
          The split.

        Raises:
          InputError: if a file is missing or damaged, or the files do not belong together.
        """
        tokens = _mapped(directory / "tokens.npy")
        offsets = _mapped(directory / "offsets.npy")
        optional = {
            name: _mapped(directory / f"{name}.npy")
            for name in ("log_probs", "labels")
            if (directory / f"{name}.npy").exists()
        }
        sound = (
            tokens.dtype.kind == "u"
            and offsets.dtype == np.int64
            and len(offsets) > 0
            and offsets[0] == 0
            and offsets[-1] == len(tokens)
            and all(len(array) == len(offsets) - 1 for array in optional.values())
        )
        if not sound:
            raise InputError(f"the arrays in {directory} do not match; prepare it again")
        return cls(tokens, offsets, **optional)


def token_dtype(vocab_size: int) -> np.dtype:
    """Smallest unsigned type that holds the ids 0 … ``vocab_size`` − 1."""
    return np.min_scalar_type(max(vocab_size - 1, 0))


class TokenWriter:
    """Writes a split, some sentences at a time; a context manager.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp()) / "train"
    >>> with TokenWriter(directory, vocab_size=300) as writer:
    ...     writer.extend(np.array([4, 299, 5]), np.array([2, 1]))
    >>> split = TokenSplit.load(directory)
    >>> len(split), split.sentence(0).tolist(), split.tokens.dtype
    (2, [4, 299], dtype('uint16'))
    """

    def __init__(self, directory: Path, *, vocab_size: int) -> None:
        """Makes the folder and opens the arrays.

        Args:
          directory: folder to make.
          vocab_size: V; it sets the type of the ids.
        """
        directory.mkdir(parents=True)
        self._directory = directory
        self._vocab_size = vocab_size
        self._tokens = _ArrayWriter(directory / "tokens.npy", token_dtype(vocab_size))
        self._offsets = _ArrayWriter(directory / "offsets.npy", np.dtype(np.int64))
        self._optional: dict[str, _ArrayWriter] = {}
        self.num_sentences = 0
        self._num_words = 0
        self._offsets.extend(np.zeros(1))

    def extend(
        self,
        tokens: np.ndarray,
        lengths: np.ndarray,
        *,
        log_probs: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ) -> None:
        """Adds sentences.

        Args:
          tokens: word ids of all of them, one after the other, integer [W].
          lengths: words of each, integer [S], of sum W.
          log_probs: exact log-probability of each in nats, [S]; for all of the split or none.
          labels: the number of each one's label, integer [S]; for all of the split or none.

        Raises:
          ValueError: if an id is not below V, or log-probabilities or labels are given for some
            sentences only.
        """
        if len(lengths) == 0:
            return
        if len(tokens) and int(tokens.max()) >= self._vocab_size:
            raise ValueError(f"id {int(tokens.max())} of a vocabulary of {self._vocab_size} words")
        self._extend_optional("log_probs", np.dtype(np.float64), log_probs)
        self._extend_optional("labels", np.dtype(np.int32), labels)
        self._tokens.extend(tokens)
        self._offsets.extend(self._num_words + np.cumsum(lengths, dtype=np.int64))
        self._num_words += len(tokens)
        self.num_sentences += len(lengths)

    def _extend_optional(self, name: str, dtype: np.dtype, values: np.ndarray | None) -> None:
        if values is not None and self.num_sentences == 0:
            self._optional[name] = _ArrayWriter(self._directory / f"{name}.npy", dtype)
        if (values is None) == (name in self._optional):
            raise ValueError(f"{name} must be given for every sentence or for none")
        if values is not None:
            self._optional[name].extend(values)

    def __enter__(self) -> TokenWriter:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Completes and closes the files."""
        for array in (self._tokens, self._offsets, *self._optional.values()):
            array.close()


class _ArrayWriter:
    """A one-dimensional ``.npy`` file of a length not known beforehand."""

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self._file = path.open("w+b")
        self._dtype = dtype
        self._length = 0
        self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header for a first axis of any length, so it can be written again later.
        description = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": description, "fortran_order": False, "shape": (self._length,)}
        )

    def extend(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype))
        self._length += len(values)

    def close(self) -> None:
        try:
            self._file.seek(0)
            self._write_header()
        finally:
            self._file.close()


def _mapped(path: Path) -> np.ndarray:
    try:
        # A file of no items cannot be mapped; it takes no memory either.
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; prepare the corpus again") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged ({error}); prepare the corpus again") from error
