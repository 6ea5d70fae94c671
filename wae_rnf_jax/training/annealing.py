"""What becomes of λ, the weight of the KL, in the course of a run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.errors import warn
from wae_rnf_jax.training.recipe import Recipe

_TOLERANCE = 1e-6
_LATEST = 2**24  # steps that are looked at for where a schedule gets to; floats count so far


class Annealing(NamedTuple):
    """Where λ leaves 0 and reaches its maximum, in steps of the procedure's clock.

    Attributes:
      num_steps: of the run.
      counts: what the clock counts, in words.
      maximum: that the schedule is to reach.
      at_start: λ at step 0.
      leaves: the last step at which λ is 0 from the beginning; None where it is never 0 or always.
      reaches: the first step at which λ is at the maximum, in the run or after it; None if never.
      at_end: λ at the run's end.
      highest: of the run.
      validated: whether a validation comes upon the highest, as far as that is known.
    """

    num_steps: int
    counts: str
    maximum: float
    at_start: float
    leaves: int | None
    reaches: int | None
    at_end: float
    highest: float
    validated: bool = True

    def tell(self, say: Callable[[str], None]) -> None:
        """Says it, and warns where it is wrong."""
        say(f"λ: {self.line()}")
        if warning := self.warning():
            warn(warning)

    def line(self) -> str:
        """Says it for people."""
        if not self.maximum:
            return "0 throughout"
        if self.reaches == 0:
            return f"{self.maximum:g} throughout"
        if self.at_start:
            left = f"begins at {self.at_start:.3g}"
        elif self.leaves is None:
            return f"0 throughout the {self.num_steps:,} steps"
        else:
            left = f"leaves 0 after {self.counts} {self.leaves:,}"
        if not self.complete:
            last = f"{self.counts} {self.num_steps:,}"
            return f"{left}, ends at {self.at_end:.3g} of {self.maximum:g} at {last}"
        return f"{left}, reaches its maximum {self.maximum:g} at {self.counts} {self.reaches:,}"

    @property
    def complete(self) -> bool:
        """Whether λ reaches its maximum in the run."""
        return self.highest >= self.maximum - _TOLERANCE

    def warning(self) -> str | None:
        """What is wrong with it, and what would be right; None where nothing is."""
        if self.complete and self.validated:
            return None
        if self.complete:
            return (
                f"no validation comes at a step with λ at its maximum {self.maximum:g}: no bound "
                "can be compared, the last model is kept, and neither train.patience nor "
                'train.learning_rate_decay "plateau" acts; set train.eval_every so that one does'
            )
        when = f", which it would reach at {self.counts} {self.reaches:,}" if self.reaches else ""
        return (
            f"the run ends at {self.counts} {self.num_steps:,} with λ, the weight of the KL, at "
            f"{self.at_end:.3g} instead of its maximum {self.maximum:g}{when}: no "
            "bound before the last step can be compared, so the last model is kept; fit the steps "
            "of kl_weight to this run, or use --config.kl_weight.schedule=linear_of_run, which is "
            "given in shares of any run"
        )


def annealing(
    recipe: Recipe,
    settings: Mapping[str, Any],
    num_steps: int,
    *,
    eval_every: int = 1,
) -> Annealing:
    """Returns where λ leaves 0 and reaches its maximum.

    Args:
      recipe: of the run, with the schedule of λ.
      settings: the section `kl_weight` of the configuration.
      num_steps: of the run.
      eval_every: steps between validations, the last of which is at the end.
    """
    schedule = recipe.kl_weight
    if recipe.procedure.event:
        eval_every = 1  # at which steps of its clock they come is not known
    maximum = settings["value" if settings["schedule"] == "constant" else "maximum"]
    values = np.asarray(jax.vmap(schedule)(jnp.arange(num_steps + 1)))
    above, full = values > 0, values >= maximum - _TOLERANCE
    highest = values >= values.max() - _TOLERANCE
    validations = [*range(eval_every, num_steps, eval_every), num_steps]
    reaches = int(full.argmax()) if full.any() else _reached_later(schedule, maximum, num_steps)
    if reaches is None and not values.any():
        maximum = 0.0  # the objective has no λ, whatever the section says
    return Annealing(
        num_steps=num_steps,
        counts=recipe.procedure.counts,
        maximum=maximum,
        at_start=float(values[0]),
        leaves=int(above.argmax()) - 1 if above.any() and not above[0] else None,
        reaches=reaches,
        at_end=float(values[-1]),
        highest=float(values.max()),
        validated=bool(highest[validations].any()),
    )


def _reached_later(schedule, maximum: float, num_steps: int) -> int | None:
    """The first step after the run at which a rising schedule is at its maximum."""

    def reached(step: int) -> bool:
        return float(schedule(jnp.asarray(step))) >= maximum - _TOLERANCE

    below, above = num_steps, 2 * num_steps
    while not reached(above):
        below, above = above, 2 * above
        if above > _LATEST:
            return None
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if reached(middle) else (middle, above)
    return above
