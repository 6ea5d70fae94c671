"""How well drawn words tell the Fisher–Rao magnification of a trained model's codes.

python -m benchmarks.fisher_estimate --workdir=RUN [--num_words=32] [--num_sentences=200]

For sentences of the test split, ½ log|G| at the code of each, exact and estimated from as many
pairs of words a position: the correlation over sentences once both are regressed on log T, the
bias, and its slope on log T; and how many times longer the exact one takes.
"""

import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measurement
from wae_rnf_jax.data.batches import split_batches
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.pullback import pullback_log_magnification
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.models.features import code_features, fisher_log_magnification_estimate
from wae_rnf_jax.runs.trained_model import load_trained_model

_BATCH, _BUCKETS = 8, 5


@jax.jit
def _exact(model: BoundModel, codes: jax.Array, tokens: jax.Array, lengths: jax.Array):
    def of_example(example):
        z, tokens, length = example
        return pullback_log_magnification(
            lambda z: code_features(model, z, tokens[None], length[None], features="fisher"), z
        )

    return jax.lax.map(of_example, (codes, tokens, lengths))


def magnifications(model: BoundModel, split, *, num_sentences: int, num_words: tuple[int, ...]):
    """Words of each sentence, its exact log-magnification, and the estimates by number of words.

    With the seconds that each took, compiling left out.
    """

    @jax.jit
    def codes_of(tokens, lengths):
        return model.flow_forward(model.infer(tokens, lengths).center)[0]

    def estimated(number: int):
        return jax.jit(
            lambda keys, codes, tokens, lengths: jax.vmap(
                lambda key, z, t, n: fisher_log_magnification_estimate(
                    key, model, z, t, n, num_words=number
                )
            )(keys, codes, tokens, lengths)
        )

    functions = {"exact": lambda keys, *rest: _exact(model, *rest)}
    functions |= {number: estimated(number) for number in num_words}
    found = {name: [] for name in ("length", *functions)}
    seconds = dict.fromkeys(functions, 0.0)
    batches = list(split_batches(split, batch_size=_BATCH, num_buckets=_BUCKETS))
    whole = [batch for batch in batches if batch["where"].all()]  # in order of length
    for batch in whole[:: max(1, len(whole) * _BATCH // num_sentences)]:
        tokens, lengths = jnp.asarray(batch["tokens"]), jnp.asarray(batch["lengths"])
        keys, codes = example_keys(random_key(0), batch["index"]), codes_of(tokens, lengths)
        found["length"].append(lengths)
        for name, function in functions.items():
            jax.block_until_ready(function(keys, codes, tokens, lengths))
            start = time.perf_counter()
            found[name].append(jax.block_until_ready(function(keys, codes, tokens, lengths)))
            seconds[name] += time.perf_counter() - start
    return {name: np.concatenate(parts) for name, parts in found.items()}, seconds


def agreement(lengths: np.ndarray, exact: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Of residuals of a regression on log T, and of the error itself."""
    known = np.isfinite(exact) & np.isfinite(estimate)
    exact, estimate, lengths = exact[known], estimate[known], lengths[known]
    (x, _), (y, _) = (measurement.regressed_on_length(v, lengths) for v in (exact, estimate))
    error = estimate - exact
    return {
        "sentences": int(known.sum()),
        "correlation": float(np.corrcoef(x, y)[0, 1]),
        "sd of exact": float(exact.std()),
        "bias": float(error.mean()),
        "its slope on log T": measurement.regressed_on_length(error, lengths)[1],
        "sd of error": float(error.std()),
    }


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--workdir", type=Path, required=True)
    flags.add_argument("--num_sentences", type=int, default=200)
    flags.add_argument("--num_words", type=int, action="append", help="may be repeated")
    arguments = flags.parse_args(argv)
    trained = load_trained_model(arguments.workdir)
    found, seconds = magnifications(
        trained.model,
        trained.corpus.test,
        num_sentences=arguments.num_sentences,
        num_words=tuple(arguments.num_words or (8, 32)),
    )
    lengths, exact = found.pop("length"), found.pop("exact")
    rows = [
        {
            "words": number,
            **agreement(lengths, exact, estimate),
            "exact takes times": seconds["exact"] / seconds[number],
        }
        for number, estimate in found.items()
    ]
    note = f"{arguments.workdir.name}, sentences of its test split, of all lengths alike"
    measurement.report("Fisher–Rao, estimated", rows, notes=[note], output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
