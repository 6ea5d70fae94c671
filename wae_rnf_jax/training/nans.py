"""Where a NaN comes up, for `--debug_nans`.

JAX's own check, `jax_debug_nans`, sees a mapped step as one operation, and to look into it needs
arguments that were not donated. So the step is checked here, and taken again without mapping or
compilation where something in its result is no number.
"""

import traceback
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from wae_rnf_jax.errors import TrainingFailed, first_line
from wae_rnf_jax.training.parallel import joined_rows, mapped_train_step
from wae_rnf_jax.training.recipe import Batch, Metrics, Recipe, TrainState
from wae_rnf_jax.training.step import train_step

_PACKAGE = Path(__file__).parents[1]


class NotANumber(TrainingFailed):
    """A computation gave a NaN; the message says which."""


def nan_checked_train_step(recipe: Recipe, *, backend: str) -> Callable:
    """Returns a `mapped_train_step` that raises NotANumber where its result holds a NaN.

    The state is not donated: the step may have to be taken again from it.
    """
    mapped = mapped_train_step(recipe, backend=backend, donate=False)

    def checked(state: TrainState, batch: Batch, rng: jax.Array) -> tuple[TrainState, Metrics]:
        with jax.debug_nans(False):
            result = mapped(state, batch, rng)
            if not has_nan(result):
                return result
        origin = nan_origin(state, joined_rows(batch), rng, recipe=recipe)
        raise NotANumber(f"step {int(state.step) + 1}: {origin}")

    return checked


def has_nan(tree) -> bool:
    """Returns whether any array of a pytree holds a NaN."""
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return any(bool(jnp.isnan(x).any()) for x in floats)


def nan_origin(state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe) -> str:
    """Takes a step again, one operation at a time, and says where its first NaN comes up.

    Args:
      state: the state before the step.
      batch: the whole batch, not split over devices.
      rng: the run's key.
      recipe: the run's.

    Returns:
      JAX's message, which names the operation, and the line of this package that asked for it.
    """
    recipe = recipe._replace(model=recipe.model.clone(axis_name=None))
    # By the host: a state over several processes' devices cannot be put on one of them.
    state, rng = jax.device_put((jax.device_get(state), rng), jax.local_devices()[0])
    try:
        with jax.debug_nans(True), jax.disable_jit():
            train_step(state, batch, rng, recipe=recipe)
    except FloatingPointError as error:
        return f"{first_line(error)}{_place(error)}"
    return "a NaN that does not occur when the step is run one operation at a time"


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if _PACKAGE in Path(f.filename).parents]
    if not ours or Path(ours[-1].filename) == Path(__file__):
        return ""
    file = Path(ours[-1].filename).relative_to(_PACKAGE.parent)
    return f", called in {file}:{ours[-1].lineno} ({ours[-1].name})"
