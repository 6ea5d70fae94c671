"""`descent`: for each batch, one gradient step of all parameters on the objective."""

import jax

from wae_rnf_jax.training.recipe import Batch, Metrics, Procedure, Recipe, TrainState
from wae_rnf_jax.training.step import next_codebook, objective_gradient, updated_params


def descent() -> Procedure:
    """Returns the procedure; it has no settings and keeps nothing."""
    return Procedure(step=_step)


def _step(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None
) -> tuple[TrainState, Metrics]:
    mapped = {"recipe": recipe, "axis_name": axis_name}
    found = objective_gradient(state, batch, rng, **mapped)
    params, opt_state = updated_params(state, found.grads, recipe=recipe)
    next_state = state.replace(
        step=state.step + 1,
        params=params,
        batch_stats=found.batch_stats,
        opt_state=opt_state,
        codebook=next_codebook(state, found.codes, batch, rng, **mapped),
    )
    return next_state, found.metrics
