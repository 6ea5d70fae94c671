"""Files of codes: NumPy arrays of numbers and bytes, none of them pickled.

Sentences are stored as their UTF-8 bytes one after the other, with the places where each begins
and the last ends, so that a file grows with its text and not with its longest sentence.
"""

import itertools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.latent_space import Codes


def packed_sentences(sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sentences as bytes.

    Args:
      sentences: N texts.

    Returns:
      All their UTF-8 bytes, uint8 [M], and offsets, int64 [N + 1].

    >>> packed_sentences(["ab", "é"])[1].tolist()
    [0, 2, 4]
    """
    encoded = [sentence.encode() for sentence in sentences]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def unpacked_sentences(text: np.ndarray, offsets: np.ndarray) -> list[str]:
    """Sentences from what `packed_sentences` made of them.

    Args:
      text: uint8 [M].
      offsets: integer [N + 1].

    Returns:
      N texts.

    >>> unpacked_sentences(*packed_sentences(["ab", "é"]))
    ['ab', 'é']
    """
    content = text.tobytes()
    return [content[begin:end].decode() for begin, end in itertools.pairwise(offsets.tolist())]


def write_codes(
    file: BinaryIO, codes: Codes, sentences: Sequence[str], labels: Sequence[str] | None = None
) -> None:
    """Writes an .npz file of codes.

    Its arrays are `codes` [N, Z] (zk), those of the posterior (of Gaussians `mean` and `log_var`
    [N, Z]), `sentences` and `sentence_offsets` (see `packed_sentences`), and where there are
    labels `labels` int32 [N], which count in `label_names`.

    Args:
      file: open for bytes.
      codes: of N sentences.
      sentences: N texts.
      labels: the name of each one's label, or None.
    """
    text, offsets = packed_sentences(sentences)
    arrays = {
        "codes": np.asarray(codes.zk),
        **{name: np.asarray(x) for name, x in vars(codes.posterior).items()},
        "sentences": text,
        "sentence_offsets": offsets,
    }
    if labels is not None:
        names, numbers = np.unique(np.array(labels), return_inverse=True)
        arrays |= {"labels": numbers.astype(np.int32), "label_names": names}
    np.savez(file, **arrays)


def read_codes(path: Path) -> np.ndarray:
    """Reads codes from an .npz file that has an array `codes`, or from an .npy file.

    Args:
      path: the file.

    Returns:
      The array.

    Raises:
      InputError: the file cannot be read, or holds no such array.
    """
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return content
            if "codes" not in content:
                held = ", ".join(content) or "nothing"
                raise InputError(f"{path} holds no array named codes, but {held}")
            return content["codes"]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path} cannot be read as an array of NumPy: {reason}") from error
