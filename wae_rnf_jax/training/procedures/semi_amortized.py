"""`semi_amortized`: descent on the objective at refined posteriors (Kim et al. 2018).

"Semi-Amortized Variational Autoencoders". The encoder's posterior of each sentence takes some steps
on that sentence's own bound, in training at its λ, before anything is drawn from it; the gradient
runs through the steps. Evaluation and encoding refine too, by as many steps as are said.
"""

from wae_rnf_jax.models.refinement import Refinement
from wae_rnf_jax.rules import Count, Positive, Share
from wae_rnf_jax.training.procedures.descent import descent
from wae_rnf_jax.training.recipe import Procedure


def semi_amortized(
    *,
    num_steps: Count = 20,
    evaluation_steps: Count = 20,
    rate: Positive = 0.03125,
    momentum: Share = 0.5,
    max_norm: Positive = 28.0,
) -> Procedure:
    """Returns the procedure.

    The published code takes the mean over a batch of 32, a rate of 1 and a norm of 5, which is
    about this rate and norm for one sentence.

    Args:
      num_steps: in training; 0 is `descent`.
      evaluation_steps: wherever else the model is used.
      rate: step size, for one sentence's gradient.
      momentum: share of the last step that is taken again.
      max_norm: longest gradient of a sentence's mean, or log-variance.
    """
    refinement = Refinement(num_steps, evaluation_steps, rate, momentum, max_norm)
    return descent()._replace(refinement=refinement)
