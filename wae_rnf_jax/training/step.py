"""What a training step is made of, and the evaluation step: pure functions.

Letters: B rows of a batch on this device, Z latent.

A procedure (`procedures/`) composes its step of the differentiated objective of a batch (from
`gradient`) and of what stands here: an update of all parameters or of some, and the state that
follows. All are functions of (state, batch, rng) and a static `Recipe`; with `axis_name` they are
one device's share of a mapped step.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import optax

from wae_rnf_jax.functional.distributions import DiagonalGaussian, Posterior
from wae_rnf_jax.functional.objectives import kl_divergence
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.training.codebook import updated_codebook
from wae_rnf_jax.training.gradient import Axis, forward, objective_gradient, step_keys
from wae_rnf_jax.training.parts import part_labels
from wae_rnf_jax.training.recipe import Batch, Metrics, Recipe, TrainState


def train_step(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One step of the recipe's procedure.

    Args:
      state: the present state, the same on every device.
      batch: tokens [B, L], lengths [B], index [B], where [B]: this device's rows.
      rng: the run's key; the step and each row's index are folded in.
      recipe: model, objective, schedules, optimizer, procedure; `accumulate` divides B.
      axis_name: mapped axis of the batch, or None.

    Returns:
      The next state and the metrics, means over the global batch.
    """
    state, metrics = recipe.procedure.step(state, batch, rng, recipe=recipe, axis_name=axis_name)
    return _averaged(state, recipe), metrics


def _averaged(state: TrainState, recipe: Recipe) -> TrainState:
    """The state whose average has taken up the present parameters.

    Early in a run or a stage, when it would still be of the first draw, it keeps a smaller share of
    itself.
    """
    if state.average is None:
        return state
    steps = recipe.procedure.clock(state)
    kept = jnp.minimum(recipe.average, steps / (steps + 9.0))
    average = optax.incremental_update(state.params, state.average, 1 - kept)
    return state.replace(average=average)


def updated_params(
    state: TrainState,
    grads: dict,
    *,
    recipe: Recipe,
    moving: Mapping[str, jax.Array] | None = None,
) -> tuple[dict, optax.OptState]:
    """Takes the optimizer's step from a gradient.

    Args:
      state: the present state.
      grads: of all parameters.
      recipe: the optimizer gives the direction, the schedule the rate.
      moving: [] for each of `PARTS`, whether it moves; of one that does not, neither a parameter
        nor the optimizer's state changes, which a `by_part` procedure alone can ask. None: all do.

    Returns:
      All parameters and the optimizer's state after it.
    """
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, state.params)
    rate = -recipe.learning_rate(recipe.procedure.clock(state))
    if recipe.plateau is not None:
        rate = rate * state.plateau.scale
    updates = jax.tree.map(lambda update: jnp.asarray(rate, update.dtype) * update, updates)
    params = optax.apply_updates(state.params, updates)
    if moving is None:
        return params, opt_state
    params = jax.tree.map(
        lambda part, new, old: jnp.where(moving[part], new, old),
        part_labels(params),
        params,
        state.params,
    )
    clipping, (new, old) = opt_state[0], (x[1].inner_states for x in (opt_state, state.opt_state))
    kept = {
        part: jax.tree.map(partial(jnp.where, moving[part]), new[part], old[part]) for part in new
    }
    return params, (clipping, opt_state[1]._replace(inner_states=kept))


def after_bound(state: TrainState, bound: float, *, recipe: Recipe) -> TrainState:
    """Returns the state after a validation bound that others may be compared with."""
    if recipe.plateau is None:
        return state
    return state.replace(plateau=recipe.plateau.update({}, state.plateau, value=bound)[1])


def gradient_step(
    state: TrainState,
    batch: Batch,
    rng: jax.Array,
    *,
    recipe: Recipe,
    axis_name: str | None,
    moving: Mapping[str, jax.Array] | None = None,
) -> tuple[TrainState, Metrics]:
    """One gradient step on the objective, of all parameters or of some.

    Args:
      state: the present state.
      batch: this device's rows, as for `train_step`.
      rng: the run's key.
      recipe: objective, optimizer and schedules.
      axis_name: mapped axis of the batch, or None.
      moving: as for `updated_params`.

    Returns:
      The next state, what the procedure keeps being as it was, and the metrics.
    """
    found = objective_gradient(state, batch, rng, recipe=recipe, axis_name=axis_name)
    params, opt_state = updated_params(state, found.grads, recipe=recipe, moving=moving)
    _, codebook_key = step_keys(state, rng)
    next_state = state.replace(
        step=state.step + 1,
        params=params,
        batch_stats=found.batch_stats,
        opt_state=opt_state,
        codebook=updated_codebook(
            state.codebook,
            *found.codes,
            batch["where"],
            state.step,
            codebook_key,
            settings=recipe.codebook,
            axis_name=axis_name,
        ),
    )
    return next_state, found.metrics


def eval_step(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None = None
) -> tuple[Metrics, tuple[jax.Array, Posterior]]:
    """The bound of a batch, dropout off, one draw of the code a sentence.

    Args:
      state: the present state.
      batch: as for `train_step`.
      rng: the evaluation's key; each row's index is folded in.
      recipe: the model is read.
      axis_name: mapped axis of the batch, or None.

    Returns:
      Sums over the valid rows of the global batch: neg_elbo, rec, kl (nats) and, of a Gaussian,
      kl_base, with their denominators num_sentences and num_tokens; and of this device's rows, z0
      [B, Z] and the posterior.
    """
    axis = Axis(axis_name)
    keys = example_keys(rng, batch["index"])
    variables = {"params": state.evaluated_params, "batch_stats": state.batch_stats}
    out, _ = forward(recipe, variables, batch, keys)
    kl = kl_divergence(out)
    per_row = {
        "neg_elbo": out.nll + kl,
        "rec": out.nll,
        "kl": kl,
        "num_sentences": jnp.ones_like(out.nll),
        "num_tokens": batch["lengths"] + 1,
    }
    if isinstance(out.posterior, DiagonalGaussian):
        per_row["kl_base"] = out.posterior.kl()
    where = batch["where"]
    sums = {name: axis.sum(jnp.where(where, v, 0).sum()) for name, v in per_row.items()}
    return sums, (out.z0, out.posterior)
