"""From codes to text by a named strategy, in batches.

Letters: B codes, Z latent.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.evaluation.beam_search import beam_search
from wae_rnf_jax.evaluation.generation import Generation, ancestral_samples, greedy_search
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.runs.trained_model import TrainedModel

STRATEGIES = ("greedy", "sample", "beam")
# Beyond these, numbers would leave single precision, or arrays the memory of any machine.
_LONGEST, _WIDEST = 1_000_000, 10_000
_HOTTEST, _MOST_PENALTY = 1e30, 5.0


class Decoding(NamedTuple):
    """How codes become sentences.

    Attributes:
      strategy: "greedy", "sample" or "beam".
      max_length: most tokens predicted, the end counted.
      temperature: of "sample"; 0 is greedy.
      top_p: share of the probability that "sample" keeps, in (0, 1].
      beam_width: of "beam".
      length_penalty: exponent of the length normalization of "beam"; 0 for none.
      allow_unknown: whether `<unk>` may be produced.
      seed: of "sample".
    """

    strategy: str = "greedy"
    max_length: int = 60
    temperature: float = 1.0
    top_p: float = 1.0
    beam_width: int = 5
    length_penalty: float = 0.0
    allow_unknown: bool = True
    seed: int = 0


def decoded_sentences(
    trained: TrainedModel,
    zk: jax.Array,
    *,
    decoding: Decoding | None = None,
    batch_size: int = 64,
) -> tuple[str, ...]:
    """The text that each code decodes to; how many sentences are cut is said on standard error.

    Args:
      trained: a model.
      zk: [B, Z], codes as the decoder reads them.
      decoding: greedy unless told.
      batch_size: codes decoded at once; changes no sentence.

    Returns:
      B sentences, text.

    Raises:
      InputError: for an unknown strategy or a setting out of its range.
    """
    decoding = Decoding() if decoding is None else decoding
    check_decoding(decoding)
    batch_size = min(batch_size, max(1, zk.shape[0]))
    texts: list[str] = []
    finished: list[bool] = []
    for generated in _generations(trained.model, zk, decoding, batch_size):
        rows = zip(np.asarray(generated.tokens), np.asarray(generated.lengths), strict=True)
        texts.extend(trained.vocabulary.decode(row[:length].tolist()) for row, length in rows)
        finished.extend(np.asarray(generated.finished).tolist())
    cut = finished[: zk.shape[0]].count(False)
    if cut:
        warn(
            f"{cut:,} of {zk.shape[0]:,} sentences did not end within max_length, "
            f"{decoding.max_length} words, and are cut there"
        )
    return tuple(texts[: zk.shape[0]])


def _generations(
    model: BoundModel, zk: jax.Array, decoding: Decoding, batch_size: int
) -> Iterator[Generation]:
    """The sentences, in parts, the last of which may have more rows than codes are left."""
    common = {"max_length": decoding.max_length, "allow_unknown": decoding.allow_unknown}
    if not zk.shape[0]:
        return
    if decoding.strategy == "beam":
        for first in range(0, zk.shape[0], batch_size):
            part = zk[first : first + batch_size]
            yield beam_search(
                model,
                jnp.pad(part, ((0, batch_size - part.shape[0]), (0, 0))),
                beam_width=decoding.beam_width,
                length_penalty=decoding.length_penalty,
                **common,
            )
    elif decoding.strategy == "sample":
        yield ancestral_samples(
            model,
            zk,
            random_key(decoding.seed),
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            batch_size=batch_size,
            **common,
        )
    else:
        yield greedy_search(model, zk, batch_size=batch_size, **common)


def check_decoding(decoding: Decoding) -> None:
    """Raises InputError for an unknown strategy or a setting out of its range, which it names."""
    for right, setting, rule in (
        (decoding.strategy in STRATEGIES, "strategy", f"one of {', '.join(STRATEGIES)}"),
        (1 <= decoding.max_length <= _LONGEST, "max_length", f"from 1 to {_LONGEST:,}"),
        (0 <= decoding.temperature <= _HOTTEST, "temperature", f"from 0 to {_HOTTEST:g}"),
        (0 < decoding.top_p <= 1, "top_p", "above 0 and at most 1"),
        (1 <= decoding.beam_width <= _WIDEST, "beam_width", f"from 1 to {_WIDEST:,}"),
        (0 <= decoding.length_penalty <= _MOST_PENALTY, "length_penalty", "from 0 to 5"),
    ):
        if not right:
            value = getattr(decoding, setting)
            raise InputError(f"{setting} is {value!r}, but must be {rule}")
