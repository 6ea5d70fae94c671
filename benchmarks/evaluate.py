"""Importance-weighted likelihood: sentences × samples per second, beside a loop over samples.

python -m benchmarks.evaluate [--num_sentences=64] [--num_samples=31] [--output=FILE.json]

The loop encodes a batch once, and then draws, decodes and scores one code of each sentence at a
time, as one would write it with jitted functions; it finds the same numbers from the same draws,
which is checked. The program takes the draws of a batch together, up to a bound of rows
(`--memory_limit_rows`), embeds and projects each sentence's words once for all of them, and scores
one draw more, the mean.
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measurement, workload
from wae_rnf_jax.commands.memory import keep_freed_memory
from wae_rnf_jax.data.batches import split_batches
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.evaluation.likelihood import per_sentence_likelihood
from wae_rnf_jax.functional.distributions import Posterior, sampled_kl
from wae_rnf_jax.functional.estimators import importance_weighted_nll
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.models.bound import BoundModel


@jax.jit
def _posterior(model: BoundModel, tokens: jax.Array, lengths: jax.Array) -> Posterior:
    return model.infer(tokens, lengths)


@jax.jit
def _log_weight(model: BoundModel, tokens, lengths, posterior, keys, number) -> jax.Array:
    """The log-weight of one draw of each sentence's code, [B]."""
    z0 = posterior.sample(jax.vmap(jax.random.fold_in, (0, None))(keys, number))
    zk, log_det = model.flow_forward(z0)
    rec = model.score(zk, tokens, lengths)
    return -(rec + sampled_kl(posterior, z0, zk, log_det))


def loop_over_samples(
    model: BoundModel,
    split: TokenSplit,
    *,
    num_samples: int,
    batch_size: int,
    num_buckets: int,
) -> np.ndarray:
    """The importance-weighted NLL of each sentence, [N], one draw after the other."""
    nll = np.full(len(split), np.nan)
    for batch in split_batches(split, batch_size=batch_size, num_buckets=num_buckets):
        posterior = _posterior(model, batch["tokens"], batch["lengths"])
        keys = example_keys(jax.random.key(0), jnp.asarray(batch["index"]))
        draw = partial(_log_weight, model, batch["tokens"], batch["lengths"], posterior, keys)
        log_weights = [draw(number) for number in range(num_samples)]
        values = importance_weighted_nll(jnp.stack(log_weights), axis=0)
        nll[batch["index"][batch["where"]]] = np.asarray(values)[batch["where"]]
    return nll


def typical_sentences(split: TokenSplit, number: int, vocab_size: int) -> TokenSplit:
    """Sentences at evenly spaced quantiles of length."""
    order = np.argsort(split.lengths, kind="stable")
    rows = order[((np.arange(number) + 0.5) / number * len(order)).astype(int)]
    return TokenSplit.from_sentences((split.sentence(int(i)) for i in rows), vocab_size=vocab_size)


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--system", default="wae_rnf", help="of configs/systems.py")
    flags.add_argument("--num_sentences", type=int, default=64)
    flags.add_argument("--num_samples", type=int, default=31)
    flags.add_argument("--batch_size", type=int, default=32)
    flags.add_argument("--num_buckets", type=int, default=2)
    flags.add_argument("--memory_limit_rows", type=int, action="append", help="may be repeated")
    arguments = flags.parse_args(argv)
    if arguments.smoke:
        arguments.num_sentences, arguments.num_samples, arguments.batch_size = 6, 3, 4
    keep_freed_memory()
    size = workload.sizes(arguments.smoke)
    split, origin = workload.drawn_split(size)
    split = typical_sentences(split, arguments.num_sentences, size.vocab_size)
    model = workload.untrained_model(arguments.system, size)
    common = {
        "num_samples": arguments.num_samples,
        "batch_size": arguments.batch_size,
        "num_buckets": arguments.num_buckets,
    }
    candidates = {"loop": partial(loop_over_samples, model, split, **common)}
    for limit in arguments.memory_limit_rows or [256]:
        candidates[f"program, {limit} rows"] = partial(
            per_sentence_likelihood, model, split, memory_limit_rows=limit, **common
        )
    loop, *programs = (candidate() for candidate in candidates.values())
    for metrics in programs:
        np.testing.assert_allclose(metrics["nll_iw"], loop, rtol=1e-4)
    samples = measurement.interleaved(candidates, repetitions=arguments.repetitions, warm_ups=0)
    work = len(split) * arguments.num_samples
    rows = []
    for name, taken in samples.items():
        times, cpu_times = measurement.speedup(taken, samples["loop"])
        rows.append(
            {
                "candidate": name,
                "sentences × samples/s": work / taken.seconds,
                "the same, a cpu second": work / taken.cpu_seconds,
                "faster than the loop by": times,
                "by cpu time": cpu_times,
            }
        )
    note = (
        f"{arguments.system}, {len(split)} sentences at quantiles of {origin}, "
        f"{arguments.num_samples} samples, batches of {arguments.batch_size}; V {size.vocab_size}"
    )
    measurement.report(
        "Importance-weighted likelihood", rows, notes=[note], output=arguments.output
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
