"""The bound on a split, while a run trains."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.batches import split_batches
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.functional.distributions import Posterior
from wae_rnf_jax.functional.estimators import (
    active_threshold,
    active_units,
    mutual_information,
)
from wae_rnf_jax.jobs.processes import gathered_rows
from wae_rnf_jax.training.parallel import split_rows
from wae_rnf_jax.training.recipe import TrainState


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
    codes: list[Any] = []
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
        codes.append((_flat_rows(of_rows, len(batch["where"])), batch["where"]))
    sentences, tokens = sums.pop("num_sentences"), sums.pop("num_tokens")
    values = {name: total / sentences for name, total in sums.items()}
    values["ppl"] = float(np.exp(sums["neg_elbo"] / tokens))
    (z0, _), _ = codes[0]
    if z0.shape[-1]:
        z0, posterior = _all_codes(codes)
        values["mi"] = float(mutual_information(z0, posterior, block_size=256))
        values["au"] = float(active_units(posterior.center, active_threshold(posterior.prior)))
    return values


def _flat_rows(of_rows: Any, num_rows: int) -> Any:
    """Undoes the split over devices of z0 [.., Z] and a posterior, whose leaves end like it.

    Rows by their number, as codes may have no dimension.
    """
    z0, posterior = of_rows
    lead = z0.ndim - 1  # [B] or [D, B/D]
    return jax.tree.map(lambda x: x.reshape(num_rows, *x.shape[lead:]), (z0, posterior))


def _all_codes(batches: list[Any]) -> tuple[jax.Array, Posterior]:
    """z0 [N, Z] and the posteriors of all sentences, in one order on any number of processes.

    Args:
      batches: of each, z0 and posterior of this process's rows, and `where` [B].
    """
    rows, where = gathered_rows(jax.tree.map(lambda *leaves: np.stack(leaves), *batches))
    return jax.tree.map(lambda x: jnp.asarray(x[where]), rows)
