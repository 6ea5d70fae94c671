"""The likelihood of a whole split: every metric that is reported of a model.

Letters: B batch, L words, Z latent, S samples (draws of z0 per sentence), N sentences of the split.

Each draw is keyed by the sentence's number in the split and the draw's own number, so no batch
size, block size or order changes a figure. With w the importance weight of a draw,
-log w = rec + kl, where rec = -log p(x|zk) and kl = log q(zk|x) - log p(zk) are both of that draw:
the same S draws give the importance-weighted bound (Burda et al. 2016, "Importance Weighted
Autoencoders") and the Monte Carlo rec, kl and evidence bound, so that nll_iw <= neg_elbo always.
Draws from a wider proposal give another bound on the same likelihood, the tighter one where
posteriors are too narrow; rec, kl and the evidence bound are of the posteriors all the same.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.batches import split_batches
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.report import Metrics
from wae_rnf_jax.functional import distributions, estimators, sequences
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.models.bound import BoundModel

# Draws from the posteriors where nll_iw is of others: rec and kl are averages, which need few.
_POSTERIOR_DRAWS = 20


def evaluate_split(
    model: BoundModel,
    split: TokenSplit,
    *,
    num_samples: int = 500,
    proposal_scale: float = 1.0,
    batch_size: int = 32,
    memory_limit_rows: int = 256,
    num_buckets: int = 12,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Metrics:
    """All metrics of a model on a split, each sentence counted exactly once.

    Args:
      model: with its variables.
      split: the sentences.
      num_samples: draws of z0 per sentence, S; a model without a latent code needs and gets 1.
      proposal_scale: width of the distribution that `nll_iw` draws from, as a multiple of the
        posterior's; unless it is 1, `rec` and `kl` have draws of their own, at most 20.
      batch_size: sentences per batch.
      memory_limit_rows: most (draw, sentence) pairs decoded at once; bounds the memory used and
        changes no figure.
      num_buckets: length groups; each is compiled once, more of them waste fewer tokens.
      seed: of the draws.
      progress: called with (sentences done, sentences in all) after each batch.

    Returns:
      Nats per sentence unless said: `nll_iw` and its standard error `nll_iw_se`, `ppl_iw` (per
      predicted token), `neg_elbo`, `rec`, `kl` (averages over `num_kl_samples` draws) and its
      standard error `kl_se`, `mi` (at most `log_num_sentences`), `marginal_kl`, `au` (active
      dimensions), `num_sentences`, `num_tokens` (predicted: words and one end per sentence),
      `num_samples`, `proposal_scale` if it is not 1; of Gaussian posteriors, `kl_base` (analytic,
      z0 to N(0, I)) and `nll_paper` (no bound on anything); of refined posteriors,
      `refinement_steps` and `neg_elbo_encoder`, the encoder's own; and, where the split's exact
      log-probabilities are known, `true_nll` and `true_nll_ratio` = nll_iw / true_nll.

    Raises:
      ValueError: for an empty split, sizes below 1, or (an `InputError`) a proposal_scale that
        `check_proposal` refuses.
    """
    options = {
        "num_samples": num_samples,
        "proposal_scale": proposal_scale,
        "batch_size": batch_size,
        "memory_limit_rows": memory_limit_rows,
        "num_buckets": num_buckets,
        "seed": seed,
    }
    sentences = per_sentence_likelihood(model, split, **options, progress=progress)
    metrics = sentence_averages(sentences, np.asarray(split.lengths))
    metrics.update(_posterior_metrics(sentences))
    metrics["marginal_kl"] = metrics["kl"] - metrics["mi"]
    metrics["num_samples"] = num_samples = _draws(model, num_samples)
    metrics["num_kl_samples"] = _posterior_draws(num_samples, proposal_scale)
    if proposal_scale != 1 and model.latent_dim:
        metrics["proposal_scale"] = float(proposal_scale)
    if model.refinement is not None:
        metrics["refinement_steps"] = model.refinement.evaluation_steps
        own = per_sentence_likelihood(model.unrefined(), split, **options)
        metrics["neg_elbo_encoder"] = float(np.mean(own["rec"] + own["kl"], dtype=np.float64))
    if split.log_probs is not None:
        metrics["true_nll"] = float(-np.mean(split.log_probs, dtype=np.float64))
        metrics["true_nll_ratio"] = metrics["nll_iw"] / metrics["true_nll"]
    return metrics


def per_sentence_likelihood(
    model: BoundModel,
    split: TokenSplit,
    *,
    num_samples: int = 500,
    proposal_scale: float = 1.0,
    batch_size: int = 32,
    memory_limit_rows: int = 256,
    num_buckets: int = 12,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The likelihood and the posterior of each sentence, in the order of the split.

    Args:
      model: with its variables.
      split: the sentences.
      num_samples: draws of z0 per sentence, S.
      proposal_scale: see `evaluate_split`.
      batch_size: sentences per batch.
      memory_limit_rows: most (draw, sentence) pairs decoded at once.
      num_buckets: length groups.
      seed: of the draws.
      progress: called with (sentences done, sentences in all) after each batch.

    Returns:
      Arrays [N], nats: `nll_iw`, `rec`, `kl` (means over the draws) and, of Gaussian posteriors,
      `kl_base` and `nll_paper`; `posterior`, of N sentences; and `z0` [N, Z], a draw from it.

    Raises:
      ValueError: for an empty split, sizes below 1, or (an `InputError`) a proposal_scale that
        `check_proposal` refuses.
    """
    check_proposal(model, proposal_scale)
    num_sentences = len(split)
    for name, size in (
        ("num_samples", num_samples),
        ("batch_size", batch_size),
        ("memory_limit_rows", memory_limit_rows),
        ("sentences of the split", num_sentences),
    ):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    num_samples = _draws(model, num_samples)
    if model.latent_dim == 0:
        proposal_scale = 1.0  # as every other
    batch_size = min(batch_size, memory_limit_rows, num_sentences)
    block_size = _block_size(num_samples + 1, max(1, memory_limit_rows // batch_size))
    key = random_key(seed)
    rows: dict[str, Any] | None = None
    done = 0
    for batch in split_batches(split, batch_size=batch_size, num_buckets=num_buckets):
        metrics = _batch_likelihood(
            model,
            batch["tokens"],
            batch["lengths"],
            batch["index"],
            key,
            num_samples=num_samples,
            proposal_scale=float(proposal_scale),
            block_size=block_size,
        )
        where = np.asarray(batch["where"])
        index = np.asarray(batch["index"])[where]
        kept = jax.tree.map(lambda x, where=where: np.asarray(x)[where], metrics)
        if rows is None:  # NaN until filled: a sentence that no batch holds cannot pass unseen
            rows = jax.tree.map(
                lambda x: np.full((num_sentences, *x.shape[1:]), np.nan, x.dtype), kept
            )
        jax.tree.map(lambda row, x, index=index: row.__setitem__(index, x), rows, kept)
        done += len(index)
        if progress is not None:
            progress(done, num_sentences)
    return rows


def sentence_averages(sentences: Mapping[str, Any], lengths: np.ndarray) -> Metrics:
    """Averages of per-sentence metrics over a split, in float64.

    Args:
      sentences: arrays [N], as `per_sentence_likelihood` returns them.
      lengths: [N], words of each sentence.

    Returns:
      The averages, the standard errors of `nll_iw` and `kl` over sentences, the perplexity and the
      counts.
    """
    nll = np.asarray(sentences["nll_iw"], np.float64)
    num_sentences = len(nll)
    num_tokens = int(np.sum(lengths, dtype=np.int64)) + num_sentences
    average = {
        name: float(np.mean(sentences[name], dtype=np.float64))
        for name in ("rec", "kl", "kl_base", "nll_paper")
        if name in sentences
    }
    return {
        "nll_iw": float(np.mean(nll)),
        "nll_iw_se": _standard_error(nll),
        "ppl_iw": float(np.exp(np.sum(nll) / num_tokens)),
        "neg_elbo": average["rec"] + average["kl"],
        **average,
        "kl_se": _standard_error(sentences["kl"]),
        "num_sentences": num_sentences,
        "num_tokens": num_tokens,
    }


def _standard_error(values: np.ndarray) -> float:
    """Of the mean of values [N]; NaN for a single one."""
    values = np.asarray(values, np.float64)
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _posterior_metrics(sentences: Mapping[str, Any]) -> Metrics:
    """Mutual information and active units of the posteriors of a whole split."""
    posterior, z0 = sentences["posterior"], sentences["z0"]
    metrics: Metrics = {"mi": 0.0, "au": 0, "log_num_sentences": math.log(len(z0))}
    if z0.shape[-1] > 0:
        metrics["mi"] = float(_mutual_information(z0, posterior))
        threshold = estimators.active_threshold(posterior.prior)
        metrics["au"] = int(estimators.active_units(jnp.asarray(posterior.center), threshold))
    return metrics


def _draws(model: BoundModel, num_samples: int) -> int:
    """Draws that are of use: without a latent code every one is the same."""
    return num_samples if model.latent_dim > 0 else 1


def _posterior_draws(num_samples: int, proposal_scale: float) -> int:
    """Draws that rec and kl are averages of."""
    return num_samples if proposal_scale == 1 else min(num_samples, _POSTERIOR_DRAWS)


def check_proposal(model: BoundModel, proposal_scale: float) -> None:
    """Refuses a scale that is not positive, and any but 1 where codes are no vectors of R^Z.

    Args:
      model: whose posteriors are scaled.
      proposal_scale: see `evaluate_split`.

    Raises:
      InputError: says what is wrong.
    """
    if not 0 < proposal_scale < math.inf:
        raise InputError(f"proposal_scale must be positive and finite, got {proposal_scale}")
    if proposal_scale != 1 and isinstance(model.prior, distributions.UniformSphere):
        raise InputError(
            f"proposal_scale must be 1 for codes on a sphere, got {proposal_scale}: farther from "
            "its center a draw would leave the sphere"
        )


def _block_size(num_draws: int, limit: int) -> int:
    """Draws decoded at once: as few blocks as the limit allows, as even as can be."""
    num_blocks = -(-num_draws // limit)
    return -(-num_draws // num_blocks)


_mutual_information = jax.jit(functools.partial(estimators.mutual_information, block_size=128))


@functools.partial(jax.jit, static_argnames=("num_samples", "proposal_scale", "block_size"))
def _batch_likelihood(
    model: BoundModel,
    tokens: jax.Array,
    lengths: jax.Array,
    index: jax.Array,
    key: jax.Array,
    *,
    num_samples: int,
    proposal_scale: float,
    block_size: int,
) -> dict[str, Any]:
    """Per-sentence metrics of one batch; compiled once per length group."""
    posterior = model.infer(tokens, lengths)
    keys = sequences.example_keys(key, index)

    def terms(num_draws: int, scale: float) -> tuple[jax.Array, ...]:
        """Codes, log-determinants, rec and kl of draws [num_draws + 1, B, …], of the center last.

        A draw that is moved to `scale` times its distance from the center has 1/scale^Z times its
        density.
        """

        def code(number: jax.Array) -> jax.Array:
            draws = posterior.sample(jax.vmap(jax.random.fold_in, (0, None))(keys, number))
            return jnp.where(number < num_draws, draws, posterior.center)

        def block_terms(numbers: jax.Array) -> tuple[jax.Array, ...]:
            z0 = moved = jax.vmap(code)(numbers)
            if scale != 1:
                center = posterior.center[None]
                moved = center + scale * (z0 - center)
            zk, log_det = model.flow_forward(moved)
            rec = model.score(zk, tokens, lengths)
            kl = jax.vmap(distributions.sampled_kl, (None, 0, 0, 0))(posterior, z0, zk, log_det)
            return z0, zk, log_det, rec, kl - z0.shape[-1] * math.log(scale)

        # The center, which nll_paper reads, also fills up the last block.
        size = min(block_size, num_draws + 1)
        numbers = jnp.arange(-(-(num_draws + 1) // size) * size).reshape(-1, size)
        blocks = jax.lax.map(block_terms, numbers)
        return jax.tree.map(
            lambda block: block.reshape(numbers.size, *block.shape[2:])[: num_draws + 1], blocks
        )

    num_own = _posterior_draws(num_samples, proposal_scale)
    own = terms(num_own, 1.0)
    z0, zk, log_det, rec, kl = own
    proposed = own if proposal_scale == 1 else terms(num_samples, proposal_scale)
    log_weights = -(proposed[3] + proposed[4])[:-1]
    return {
        "nll_iw": estimators.importance_weighted_nll(log_weights, axis=0),
        "rec": jnp.mean(rec[:-1], axis=0),
        "kl": jnp.mean(kl[:-1], axis=0),
        **_gaussian_metrics(posterior, rec[-1], zk[-1], log_det[-1]),
        "posterior": posterior,
        "z0": z0[0],
    }


def _gaussian_metrics(
    posterior: distributions.Posterior, rec: jax.Array, zk: jax.Array, log_det: jax.Array
) -> dict[str, jax.Array]:
    """What has a meaning for Gaussian posteriors alone, of values at their means: [B] each."""
    if not isinstance(posterior, distributions.DiagonalGaussian):
        return {}
    paper = estimators.nll_paper(rec, zk, posterior.log_var, log_det)
    return {"kl_base": posterior.kl(), "nll_paper": paper}
