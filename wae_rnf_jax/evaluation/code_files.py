"""Files of codes: NumPy arrays of numbers and bytes, none of them pickled.

Sentences, which hold no line feed, are stored as UTF-8 bytes, one a line, so that a file grows
with its text: NumPy's own arrays of strings have all the width of the longest, or need pickle.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.latent_space import Codes


def write_codes(
    file: BinaryIO, codes: Codes, sentences: Sequence[str], labels: Sequence[str] | None = None
) -> None:
    """Writes an .npz file of codes.

    Its arrays are `codes` [N, Z] (zk), those of the posterior (of Gaussians `mean` and `log_var`
    [N, Z]), `sentences` uint8, and where there are labels `labels` int32 [N], which count in
    `label_names`.

    Args:
      file: open for bytes.
      codes: of N sentences.
      sentences: N texts.
      labels: the name of each one's label, or None.
    """
    arrays = {
        "codes": np.asarray(codes.zk),
        **{name: np.asarray(x) for name, x in vars(codes.posterior).items()},
        "sentences": np.frombuffer("\n".join(sentences).encode(), np.uint8),
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
                raise InputError(f"{path} contains no array named codes, but {held}")
            return content["codes"]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path} cannot be read as a NumPy array: {reason}") from error
