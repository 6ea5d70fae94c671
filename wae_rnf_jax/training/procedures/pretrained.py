"""`pretrained`: earlier stages with weights λ of their own, then the run proper.

"A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text" (Li et al. 2019) trains an
autoencoder first, at λ = 0, until its reconstruction of the validation split is no longer better;
then the decoder is drawn anew, and the model is trained as its objective says. At λ = 0 nothing
holds the variances of Gaussians, which may grow until they overflow; .001 does, and costs a code of
many nats next to nothing.

A stage ends at a validation: the first one after its steps, or the one that makes its patience. λ
and the learning rate count the steps of the present stage, and `train.num_epochs` counts the last.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.models.autoencoder import initial_variables
from wae_rnf_jax.rules import Counts, Sizes, Weights, one_of, several
from wae_rnf_jax.training.codebook import initial_codebook
from wae_rnf_jax.training.parts import part_labels
from wae_rnf_jax.training.procedures.descent import descent
from wae_rnf_jax.training.recipe import Procedure, Recipe, TrainState

RESETS = ("none", "encoder", "decoder")
Resets = Annotated[tuple[str, ...], several(f"names from {', '.join(RESETS)}", one_of(*RESETS))]


class PretrainedState(NamedTuple):
    """Where the run is, [] each."""

    stage: jax.Array
    start: jax.Array  # the step at which the stage began
    best: jax.Array  # reconstruction of the validation split, in this stage
    without_gain: jax.Array  # validations since


def pretrained(
    *,
    kl_weights: Weights = (0.001,),
    max_steps: Sizes = (10_000,),
    patience: Counts = (2,),
    reset: Resets = ("decoder",),
) -> Procedure:
    """Returns the procedure; every argument has an entry for each of the earlier stages.

    Args:
      kl_weights: λ throughout the stage.
      max_steps: its most steps.
      patience: validations without a better reconstruction that end it; 0: none do.
      reset: what is drawn anew at its end, with the optimizer's state of it: one of `RESETS`.
        An embedding that encoder and decoder share is kept.
    """
    stages = len(kl_weights)

    def kl_weight(state: TrainState, scheduled: jax.Array) -> jax.Array:
        own = jnp.asarray((*kl_weights, 0.0))[state.procedure.stage]
        return jnp.where(state.procedure.stage < stages, own, scheduled)

    def most_steps(state: TrainState, of_last: int) -> int:
        stage, start = int(state.procedure.stage), int(state.procedure.start)
        return start + sum(max_steps[stage:]) + of_last

    return descent()._replace(
        init=lambda params: _state_of_stage(0, 0),
        clock=lambda state: state.step - state.procedure.start,
        counts="main-stage step",
        kl_weight=kl_weight,
        num_steps=most_steps,
        selects=lambda state: int(state.procedure.stage) == stages,
        event=partial(_event, max_steps=max_steps, patience=patience, reset=reset),
        by_part=True,
    )


def _state_of_stage(stage: int, step: int) -> PretrainedState:
    start = (jnp.asarray(number, jnp.int32) for number in (stage, step))
    return PretrainedState(*start, jnp.asarray(jnp.inf), jnp.zeros((), jnp.int32))


def _event(
    state: TrainState,
    key: jax.Array,
    metrics: dict[str, float],
    *,
    recipe: Recipe,
    max_steps: tuple[int, ...],
    patience: tuple[int, ...],
    reset: tuple[str, ...],
) -> tuple[TrainState, bool]:
    own, found = state.procedure, float(np.float32(metrics["rec"]))  # as the best one is kept
    stage, step = int(own.stage), int(state.step)
    if stage == len(max_steps):
        return state, False
    better = found < float(own.best)
    without_gain = 0 if better else int(own.without_gain) + 1
    ended = step - int(own.start) >= max_steps[stage]
    if not ended and not (patience[stage] and without_gain >= patience[stage]):
        best = jnp.asarray(found, jnp.float32) if better else own.best
        own = own._replace(best=best, without_gain=jnp.asarray(without_gain, jnp.int32))
        return state.replace(procedure=own), False
    if reset[stage] != "none":
        state = _drawn_anew(state, jax.random.fold_in(key, stage), reset[stage], recipe)
    if recipe.plateau is not None:
        state = state.replace(plateau=recipe.plateau.init(state.params))
    if state.average is not None:
        state = state.replace(average=jax.tree.map(jnp.copy, state.params))
    return state.replace(procedure=_state_of_stage(stage + 1, step)), True


def _drawn_anew(state: TrainState, key: jax.Array, part: str, recipe: Recipe) -> TrainState:
    """The state with a part of the model, and the optimizer's state of it, as at the beginning."""
    fresh = initial_variables(recipe.model, key)
    labels = part_labels(state.params)
    params = jax.tree.map(
        lambda label, new, old: new if label == part else old,
        labels,
        fresh["params"],
        state.params,
    )
    clipping, partition = state.opt_state
    first = recipe.optimizer.init(params)[1].inner_states[part]
    partition = partition._replace(inner_states={**partition.inner_states, part: first})
    if part == "encoder":  # running statistics are of its heads, remembered codes are its own
        state = state.replace(batch_stats=fresh.get("batch_stats", {}))
        if state.codebook is not None and state.codebook.codes is not None:
            dim = state.codebook.centers.shape[-1]
            state = state.replace(codebook=initial_codebook(recipe.codebook, dim))
    return state.replace(params=params, opt_state=(clipping, partition))
