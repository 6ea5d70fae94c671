"""Tokenised splits as memory-mapped arrays.

A split of N sentences and M words is one array of ids and one of offsets; it is written as a
stream and read in place, so neither takes memory in proportion to the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from wae_rnf_jax.errors import InputError

__all__ = ["TokenSplit", "TokenWriter", "token_dtype"]


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
        """Number of words of each sentence, int64 [N]."""
        return np.diff(self.offsets)

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
            for i in range(len(self)):
                writer.append(
                    self.sentence(i),
                    log_prob=None if self.log_probs is None else float(self.log_probs[i]),
                    label=None if self.labels is None else int(self.labels[i]),
                )

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
            raise InputError(f"the arrays of {directory} do not belong together; prepare it again")
        return cls(tokens, offsets, **optional)


def token_dtype(vocab_size: int) -> np.dtype:
    """Smallest unsigned type that holds the ids 0 … ``vocab_size`` − 1."""
    return np.min_scalar_type(max(vocab_size - 1, 0))


class TokenWriter:
    """Writes a split sentence by sentence; a context manager.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp()) / "train"
    >>> with TokenWriter(directory, vocab_size=300) as writer:
    ...     writer.append([4, 299])
    ...     writer.append([5])
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
        self._tokens = _ArrayWriter(directory / "tokens.npy", token_dtype(vocab_size))
        self._offsets = _ArrayWriter(directory / "offsets.npy", np.dtype(np.int64))
        self._optional: dict[str, _ArrayWriter] = {}
        self.num_sentences = 0
        self._num_words = 0
        self._offsets.append(0)

    def append(
        self, ids: Iterable[int], *, log_prob: float | None = None, label: int | None = None
    ) -> None:
        """Adds one sentence.

        Args:
            ids: its word ids.
            log_prob: its exact log-probability in nats; given for all sentences or for none.
            label: the number of its label; given for all sentences or for none.

        Raises:
            ValueError: if a log-probability or label is given for some sentences only.
        """
        ids = list(ids)
        self._tokens.extend(ids)
        self._num_words += len(ids)
        self._append_optional("log_probs", np.dtype(np.float64), log_prob)
        self._append_optional("labels", np.dtype(np.int32), label)
        self.num_sentences += 1
        self._offsets.append(self._num_words)

    def _append_optional(self, name: str, dtype: np.dtype, value: float | None) -> None:
        if value is not None and self.num_sentences == 0:
            self._optional[name] = _ArrayWriter(self._directory / f"{name}.npy", dtype)
        if (value is None) == (name in self._optional):
            raise ValueError(f"{name} must be given for every sentence or for none")
        if value is not None:
            self._optional[name].append(value)

    def __enter__(self) -> TokenWriter:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Writes what is left and closes the files."""
        for array in (self._tokens, self._offsets, *self._optional.values()):
            array.close()


class _ArrayWriter:
    """A one-dimensional ``.npy`` file of a length not known beforehand."""

    _BLOCK = 1 << 16

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self._file = path.open("w+b")
        self._dtype = dtype
        self._length = 0
        self._pending: list[float] = []
        self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header for a first axis of any length, so it can be written again later.
        description = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": description, "fortran_order": False, "shape": (self._length,)}
        )

    def append(self, value: float) -> None:
        self._pending.append(value)
        if len(self._pending) >= self._BLOCK:
            self._flush()

    def extend(self, values: list[int]) -> None:
        self._pending.extend(values)
        if len(self._pending) >= self._BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._file.write(np.asarray(self._pending, self._dtype).tobytes())
        self._length += len(self._pending)
        self._pending.clear()

    def close(self) -> None:
        try:
            self._flush()
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
