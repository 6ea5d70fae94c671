"""`descent`: for each batch, one gradient step of all parameters on the objective."""

from wae_rnf_jax.training.recipe import Procedure
from wae_rnf_jax.training.step import gradient_step


def descent() -> Procedure:
    """Returns the procedure; it has no settings and keeps nothing."""
    return Procedure(step=gradient_step)
