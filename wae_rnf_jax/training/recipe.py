"""What training changes, what stays fixed in a run, and what a procedure is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from wae_rnf_jax.functional.objectives import Objective
from wae_rnf_jax.functional.riemannian import Codebook
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.refinement import Refinement
from wae_rnf_jax.training.codebook import CodebookSettings

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


@flax.struct.dataclass
class TrainState:
    """All that training changes; one checkpoint of it resumes a run exactly."""

    step: jax.Array  # [] steps taken, which is also the position in the data
    params: dict
    batch_stats: dict
    opt_state: optax.OptState
    codebook: Codebook | None
    plateau: optax.OptState = optax.EmptyState()  # what the learning rate's lowering remembers
    procedure: Any = None  # what the procedure keeps, a pytree
    average: dict | None = None  # of the parameters, which evaluation takes where there is one

    @property
    def evaluated_params(self) -> dict:
        """The parameters that validation and evaluation take."""
        return self.params if self.average is None else self.average


class Procedure(NamedTuple):
    """A way of training: what becomes of a batch, and of a validation.

    Attributes:
      step: (state, batch, rng, *, recipe, axis_name) -> (state, metrics): one batch of the plan,
        after which `state.step` is one higher, whatever was updated.
      init: params -> what the procedure keeps in `TrainState.procedure`, a pytree of arrays.
      clock: state -> the number of steps, [], that λ and the learning rate count.
      counts: what the clock counts, in words.
      kl_weight: (state, scheduled) -> λ, [], where it may differ from the schedule's.
      num_steps: (state, num_steps) -> the steps that the run has at most, as far as is known, of
        those that `train.num_epochs` asks for.
      selects: state -> whether a validation may find the best model, or cost patience.
      event: (state, key, metrics, *, recipe) -> (state, restart), on the host, after a validation.
        The best model and the patience so far are forgotten where `restart` is true. None: nothing
        happens.
      by_part: whether the optimizer's state is kept apart for every one of `parts.PARTS`.
      refinement: of the posteriors, if any.
    """

    step: Callable[..., tuple[TrainState, Metrics]]
    init: Callable[[dict], Any] = lambda params: None
    clock: Callable[[TrainState], jax.Array] = lambda state: state.step
    counts: str = "step"
    kl_weight: Callable[[TrainState, jax.Array], jax.Array] = lambda state, scheduled: scheduled
    num_steps: Callable[[TrainState, int], int] = lambda state, num_steps: num_steps
    selects: Callable[[TrainState], bool] = lambda state: True
    event: Callable[..., tuple[TrainState, bool]] | None = None
    by_part: bool = False
    refinement: Refinement | None = None


class Recipe(NamedTuple):
    """What stays fixed in a run."""

    model: TextAutoencoder
    objective: Objective
    kl_weight: Callable[[jax.Array], jax.Array]  # optax schedule of λ, over the procedure's clock
    optimizer: optax.GradientTransformation  # to a direction; the rate is multiplied to it
    learning_rate: Callable[[jax.Array], jax.Array]  # optax schedule, over the procedure's clock
    plateau: optax.GradientTransformationExtraArgs | None  # lowers the rate when bounds stall
    procedure: Procedure
    codebook: CodebookSettings
    accumulate: int  # micro-batches that a step takes its batch in
    mmd_group: int  # rows within which MMD² compares codes; 0: all
    average: float  # share of itself that the average of the parameters keeps; 0: there is none

    def kl_weight_of(self, state: TrainState) -> jax.Array:
        """λ of the next step, []."""
        scheduled = self.kl_weight(self.procedure.clock(state))
        return jnp.asarray(self.procedure.kl_weight(state, scheduled), jnp.float32)
