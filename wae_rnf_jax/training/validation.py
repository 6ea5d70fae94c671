"""The bound on a split, while a run trains."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.batches import split_batches
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.functional.estimators import active_units, gaussian_mutual_information
from wae_rnf_jax.jobs.processes import gathered_rows
from wae_rnf_jax.training.parallel import split_rows
from wae_rnf_jax.training.step import TrainState


def split_metrics(
    eval_step: Callable,
    state: TrainState,
    rng: jax.Array,
    split: TokenSplit,
    *,
    batch_size: int,
    num_buckets: int,
) -> dict[str, float]:
    """Returns bound and parts (nats a sentence), ppl, mi and au; each sentence counts once.

    Args:
      eval_step: a `mapped_eval_step`.
      state: the present state.
      rng: of the draws.
      split: the sentences.
      batch_size: B, over all processes.
      num_buckets: lengths to pad to at most.
    """
    sums: dict[str, float] = {}
    codes: list[dict[str, np.ndarray]] = []
    for batch in split_batches(
        split,
        batch_size=batch_size,
        num_buckets=num_buckets,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    ):
        totals, of_rows = jax.device_get(eval_step(state, split_rows(batch), rng))
        for name, value in totals.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        where = batch["where"]  # by its length, as codes may have no dimension
        rows = {k: v.reshape(len(where), v.shape[-1]) for k, v in of_rows.items()}
        codes.append({**rows, "where": where})
    sentences, tokens = sums.pop("num_sentences"), sums.pop("num_tokens")
    values = {name: total / sentences for name, total in sums.items()}
    values["ppl"] = float(np.exp(sums["neg_elbo"] / tokens))
    if codes[0]["z0"].shape[-1]:
        z0, mean, log_var = _all_codes(codes)
        mi = gaussian_mutual_information(z0, mean, log_var, block_size=256)
        values["mi"], values["au"] = float(mi), float(active_units(mean))
    return values


def _all_codes(batches: list[dict[str, np.ndarray]]) -> tuple[jax.Array, ...]:
    """z0, mean and log_var [N, Z] of all sentences, in one order on any number of processes.

    Args:
      batches: of each, the codes of this process's rows, [B, Z], and `where` [B].
    """
    names = ("z0", "mean", "log_var")
    rows = gathered_rows({k: np.stack([b[k] for b in batches]) for k in (*names, "where")})
    return tuple(jnp.asarray(rows[name][rows["where"]]) for name in names)
