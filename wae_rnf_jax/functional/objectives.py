"""Objectives: one small function each, from a forward pass to the terms of its loss.

Letters: B batch, Z latent, K flow steps, C centers.

A term is a weight and a value, per example [B] or already over the global batch []; the loss is the
sum of weight times mean value, as `weighted_loss` has it. An objective takes what any model's pass
over a batch has come to, a `ForwardPass`, and an `ObjectiveContext`; its keyword arguments are the
keys of a configuration's section `objective`. To add one: write a function here, list it in
`OBJECTIVES`, name it in a config.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import widened
from wae_rnf_jax.functional.distributions import DiagonalGaussian, sampled_kl
from wae_rnf_jax.functional.forward_pass import ForwardPass, ObjectiveContext
from wae_rnf_jax.functional.gaussian import free_bits_kl
from wae_rnf_jax.functional.grouped_mmd import mmd_squared_in_groups
from wae_rnf_jax.functional.kernels import multi_scale_imq_kernel, rbf_kernel
from wae_rnf_jax.functional.losses import (
    attract_regularizer,
    match_regularizer,
    repel_regularizer,
)
from wae_rnf_jax.functional.mmd import mmd_squared_biased, mmd_squared_unbiased
from wae_rnf_jax.functional.pullback import FEATURES
from wae_rnf_jax.functional.riemannian import Codebook, rbf_log_magnification
from wae_rnf_jax.rules import Count, NotNegative, Positive, Size, Switch, one_of

# Codes compared at a time: batches up to this size, over all devices, are compared at once.
_MMD_BLOCK = 256

Terms = dict[str, tuple[jax.Array | float, jax.Array]]  # name -> (weight, value)


def kl_divergence(out: ForwardPass) -> jax.Array:
    """KL(q(zk|x) ‖ prior), [B]: analytic without a flow, one Monte Carlo draw with one."""
    if out.log_dets.shape[0]:
        return sampled_kl(out.posterior, out.z0, out.zk, out.log_det)
    return out.posterior.kl()


def _mmd_squared(codes: jax.Array, out: ForwardPass, ctx: ObjectiveContext) -> jax.Array:
    """MMD² of the global batch."""
    scale = out.posterior.prior.mean_squared_distance
    kernel = partial(multi_scale_imq_kernel, mean_squared_distance=scale)
    if ctx.mmd_group:
        squared = partial(mmd_squared_in_groups, group_size=ctx.mmd_group)
    else:
        squared = partial(mmd_squared_unbiased, block_size=_MMD_BLOCK)
    draws, axis_name = ctx.prior_draws(out), ctx.axis_name
    estimate = squared(codes, draws, kernel=kernel, where=ctx.where, axis_name=axis_name)
    return _of_two_or_more(estimate, ctx)


def _of_two_or_more(statistic: jax.Array, ctx: ObjectiveContext) -> jax.Array:
    """A statistic of the global batch, left out where that has fewer than two sentences."""
    return jnp.where(ctx.num_sentences() >= 2, statistic, 0.0)


def _paper_mmd_squared(
    codes: jax.Array, out: ForwardPass, ctx: ObjectiveContext, biased: bool
) -> jax.Array:
    """As the paper's runs on Penn Treebank have it; biased, as those on Yelp and Yahoo have it."""
    if not biased:
        return _mmd_squared(codes, out, ctx)
    estimate = mmd_squared_biased(
        codes,
        ctx.prior_draws(out),
        kernel=partial(rbf_kernel, bandwidth=codes.shape[-1] / math.sqrt(20)),
        where=ctx.where,
        axis_name=ctx.axis_name,
        block_size=_MMD_BLOCK,
    )
    return _of_two_or_more(estimate, ctx)


def weighted_loss(terms: Terms, *, where: jax.Array) -> jax.Array:
    """The loss that an objective's terms add up to, over the batch of one device.

    Args:
      terms: of an objective.
      where: bool [B], valid rows.

    Returns:
      [], nats.

    >>> terms = {"rec": (1.0, jnp.array([3.0, 5.0])), "mmd": (10.0, jnp.array(0.1))}
    >>> float(weighted_loss(terms, where=jnp.array([True, True])))
    5.0
    """
    count = jnp.maximum(where.sum(), 1)
    terms = {name: (weight, widened(value)) for name, (weight, value) in terms.items()}
    parts = (
        weight * (jnp.where(where, value, 0).sum() / count if value.ndim else value)
        for weight, value in terms.values()
    )
    return jnp.asarray(sum(parts))


def lm(out: ForwardPass, ctx: ObjectiveContext) -> Terms:
    """A language model's NLL: no latent, no other term."""
    return {"rec": (1.0, out.nll)}


def vae(out: ForwardPass, ctx: ObjectiveContext, *, kl_floor: NotNegative = 0.0) -> Terms:
    """The annealed bound of Bowman et al. 2015; with a cyclical λ, that of Fu et al. 2019.

    `kl_floor` is the free bits of Li et al. 2019, nats a dimension.
    """
    return {"rec": (1.0, out.nll), **_kl_terms(kl_divergence(out), out, ctx, kl_floor)}


def _kl_terms(kl: jax.Array, out: ForwardPass, ctx: ObjectiveContext, floor: float) -> Terms:
    """The KL at λ. Where it has a floor, that is what λ weighs, and the KL itself is watched.

    With a flow the KL has no parts by dimension, and the floor is under the batch's mean.
    """
    if not floor:
        return {"kl": (ctx.kl_weight, kl)}
    if out.log_dets.shape[0]:
        mean, least = ctx.mean(kl), floor * out.z0.shape[-1]
        floored = jnp.where(mean < least, least, mean)
    else:
        posterior = out.posterior
        if not isinstance(posterior, DiagonalGaussian):
            raise ValueError(f"kl_floor is of Gaussian posteriors, not of {posterior}.")
        floored = free_bits_kl(posterior.mean, posterior.log_var, floor=floor)
    return {"kl": (0.0, kl), "kl_floored": (ctx.kl_weight, floored)}


def wae(
    out: ForwardPass, ctx: ObjectiveContext, *, mmd_weight: NotNegative, kl_floor: NotNegative = 0.0
) -> Terms:
    """Wasserstein autoencoder (Tolstikhin et al. 2018) with the paper's share of KL.

    rec + λ·KL + (mmd_weight − λ)·MMD²(zk, prior); with flow steps in the model it is `wae_nf`.
    """
    mmd = _mmd_squared(out.zk, out, ctx)
    return {**vae(out, ctx, kl_floor=kl_floor), "mmd": (mmd_weight - ctx.kl_weight, mmd)}


def wae_rnf(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    rnf_weight: NotNegative,
    kl_floor: NotNegative = 0.0,
) -> Terms:
    """`wae` with a flow whose volume change follows the RBF metric of the codes (`match`)."""
    # Before the first refresh there is no metric to match.
    codebook = _codebook(ctx)
    active = jnp.asarray(codebook.ready, out.z0.dtype)
    magnification = active * codebook_log_magnification(out.z0, codebook)
    return {
        **wae(out, ctx, mmd_weight=mmd_weight, kl_floor=kl_floor),
        **_match(out, ctx, magnification, weight=rnf_weight * active),
    }


def wae_rnf_pullback(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    rnf_weight: NotNegative,
    features: Annotated[str, one_of(*FEATURES)],
    one_in: Size = 1,
    num_words: Count = 0,
    kl_floor: NotNegative = 0.0,
) -> Terms:
    """`wae` with a flow that evens out the magnification of the whole map from z0 to text.

    `match` with the pullback metric, read at zk: |det J|·√|G(zk)| is to be the same everywhere. It
    is read at one in so many sentences of a batch, another set at each step. Of "fisher", it is
    estimated from so many pairs of words drawn at each position, or exact if `num_words` is 0.
    Where the metric has not full rank in single precision, the sentence is left out too; the share
    of such codes is reported as `degenerate`.
    """
    if ctx.pullback_log_magnification is None:
        raise ValueError("wae_rnf_pullback reads pullback_log_magnification, which ctx lacks.")
    found = ctx.pullback_log_magnification(out.zk, features, one_in=one_in, num_words=num_words)
    read, known = ctx.where & ~jnp.isnan(found), ctx.where & jnp.isfinite(found)
    magnification = -jnp.where(known, found, 0.0)
    degenerate = ctx.mean(jnp.ones_like(found), known=read & ~known, of=read)
    return {
        **wae(out, ctx, mmd_weight=mmd_weight, kl_floor=kl_floor),
        **_match(out, ctx, magnification, weight=rnf_weight, known=known),
        "degenerate": (0.0, degenerate),
    }


def _match(
    out: ForwardPass,
    ctx: ObjectiveContext,
    magnification: jax.Array,
    *,
    weight: jax.Array | float,
    known: jax.Array | None = None,
) -> Terms:
    """The regularizer `match` and the spread sd(m) of what it matches, which has no weight.

    The magnification is a target: it carries no gradient, for else the codes would move to where
    the metric is flat, which is easier than bending the flow. The regularizer's free constant is
    its own minimizer, the mean over the batch: as a parameter, it would take the optimizer
    thousands of steps to travel the tens of nats to it, and the gradient would be its own alone.

    Where it is known of some rows alone [B], means are over those.
    """
    magnification = jax.lax.stop_gradient(magnification)
    offset = jax.lax.stop_gradient(ctx.mean(out.log_det - magnification, known=known))
    rnf = match_regularizer(out.log_det, magnification, offset, dim=out.z0.shape[-1])
    if known is not None:
        rnf = ctx.mean(rnf, known=known)
    deviation = magnification - ctx.mean(magnification, known=known)
    spread = jnp.sqrt(ctx.mean(jnp.square(deviation), known=known))
    return {"rnf": (weight, rnf), "sd_m": (0.0, spread)}


def wae_rnf_attract(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    rnf_weight: NotNegative,
    sharpness: Positive,
    kl_floor: NotNegative = 0.0,
) -> Terms:
    """`wae` with a flow whose inputs are drawn to the centers of the codes."""
    codebook = _codebook(ctx)
    rnf = attract_regularizer(out.points[:-1], codebook.centers, sharpness=sharpness)
    active = rnf_weight * jnp.asarray(codebook.ready, rnf.dtype)
    return {**wae(out, ctx, mmd_weight=mmd_weight, kl_floor=kl_floor), "rnf": (active, rnf)}


def wae_rnf_repel(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    rnf_weight: NotNegative,
    sharpness: Positive,
    kl_floor: NotNegative = 0.0,
) -> Terms:
    """`wae` with a flow whose inputs are driven from the centers of the codes."""
    codebook = _codebook(ctx)
    rnf = repel_regularizer(out.points[:-1], codebook.centers, sharpness=sharpness)
    active = rnf_weight * jnp.asarray(codebook.ready, rnf.dtype)
    return {**wae(out, ctx, mmd_weight=mmd_weight, kl_floor=kl_floor), "rnf": (active, rnf)}


def wae_paper(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    kl_floor: NotNegative = 0.0,
    biased_mmd: Switch = False,
) -> Terms:
    """The paper's code without a flow: MMD² on a fresh draw of z0.

    `biased_mmd`: by the kernel exp(−10·‖x − y‖²/Z²), diagonals and all, as its runs on Yelp and
    Yahoo have it.
    """
    mmd = _paper_mmd_squared(ctx.posterior_draws(out), out, ctx, biased_mmd)
    return {**vae(out, ctx, kl_floor=kl_floor), "mmd": (mmd_weight - ctx.kl_weight, mmd)}


def wae_nf_paper(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    kl_floor: NotNegative = 0.0,
    biased_mmd: Switch = False,
) -> Terms:
    """The paper's code with a flow: the log-det stands outside λ, the MMD² before the flow."""
    kl = out.posterior.log_prob(out.z0) - out.posterior.prior.log_prob(out.zk)
    return {
        **wae_paper(out, ctx, mmd_weight=mmd_weight, biased_mmd=biased_mmd),
        **_kl_terms(kl, out, ctx, kl_floor),
        "log_det": (-1.0, out.log_det),
    }


def wae_rnf_paper(
    out: ForwardPass,
    ctx: ObjectiveContext,
    *,
    mmd_weight: NotNegative,
    rnf_weight: NotNegative,
    sharpness: Positive,
    kl_floor: NotNegative = 0.0,
    biased_mmd: Switch = False,
) -> Terms:
    """The paper's code: `repel` from fixed centers, summed over the layers' inputs."""
    rnf = repel_regularizer(out.points[:-1], _codebook(ctx).centers, sharpness=sharpness)
    terms = wae_nf_paper(out, ctx, mmd_weight=mmd_weight, kl_floor=kl_floor, biased_mmd=biased_mmd)
    return {**terms, "rnf": (rnf_weight, rnf)}


def _codebook(ctx: ObjectiveContext) -> Codebook:
    if ctx.codebook is None:
        raise ValueError("this objective reads the codebook, which ctx lacks.")
    return ctx.codebook


def codebook_log_magnification(z: jax.Array, codebook: Codebook) -> jax.Array:
    """The RBF metric's log-magnification m(z) at codes, [B]."""
    return rbf_log_magnification(
        z, codebook.centers, bandwidth=codebook.bandwidth, floor=codebook.floor
    )


Objective = Callable[..., Terms]
OBJECTIVES: dict[str, Objective] = {
    function.__name__: function
    for function in (
        lm,
        vae,
        wae,
        wae_rnf,
        wae_rnf_pullback,
        wae_rnf_attract,
        wae_rnf_repel,
        wae_paper,
        wae_nf_paper,
        wae_rnf_paper,
    )
}
"""Every objective by its name, as `objective.name` of a configuration has it.

A function `(out, ctx, *, arguments) -> terms`: of a `ForwardPass` and an `ObjectiveContext`, the
terms of the loss by their names, each a weight and a value, which `weighted_loss` adds up.
"""
WITHOUT_MMD = {"lm", "vae"}
WITHOUT_KL_WEIGHT = {"lm"}  # those that do not read λ
WITH_METRIC = {"wae_rnf"}  # and those that read the RBF metric, with its floor
# Those that mean nothing without flow steps, and without centers of the codes.
WITH_CODEBOOK = {"wae_rnf", "wae_rnf_attract", "wae_rnf_repel", "wae_rnf_paper"}
WITH_FLOW = WITH_CODEBOOK | {"wae_rnf_pullback", "wae_nf_paper"}
IN_FLAT_SPACE = WITH_FLOW | {"wae_paper"}  # and those that mean nothing on a sphere
