"""From a configuration to what a run needs: model, recipe and first state.

ConfigDict stops here: what these functions build takes plain arguments.
"""

import os
import zipfile
from functools import lru_cache, partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict, FrozenConfigDict
from optax.contrib import reduce_on_plateau

from wae_rnf_jax.choices import Choice
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.objectives import OBJECTIVES, WITHOUT_KL_WEIGHT
from wae_rnf_jax.functional.schedules import (
    Schedule,
    cyclical_annealing,
    linear_annealing,
    paper_annealing,
)
from wae_rnf_jax.models.autoencoder import initial_variables, text_autoencoder
from wae_rnf_jax.rules import FROM_0_TO_1, SHARE, Size
from wae_rnf_jax.storage.files import home_expanded
from wae_rnf_jax.training.codebook import CodebookSettings, initial_codebook, late_codebook
from wae_rnf_jax.training.parts import PARTS, part_labels
from wae_rnf_jax.training.procedures import PROCEDURES
from wae_rnf_jax.training.recipe import Recipe, TrainState


def linear_of_run(
    *,
    begin: Annotated[float, SHARE] = 0.1,
    end: Annotated[float, FROM_0_TO_1] = 0.5,
    maximum: float,
    num_steps: int,
) -> Schedule:
    """Linear annealing in shares of the run: λ leaves 0 at `begin` and is highest from `end` on."""
    length = (end - begin) * num_steps / max(maximum, 1e-9)
    return linear_annealing(start=begin * num_steps, length=max(length, 1e-9), maximum=maximum)


def cyclical_of_run(
    *, cycles: Size = 4, rise: float = 0.5, maximum: float, num_steps: int
) -> Schedule:
    """Cyclical annealing of so many cycles in the run, at whose last step λ is at its maximum."""
    return cyclical_annealing(period=(num_steps + 1) / cycles, rise=rise, maximum=maximum)


KL_SCHEDULES = {
    "constant": optax.constant_schedule,
    "linear": linear_annealing,
    "linear_of_run": linear_of_run,
    "cyclical": cyclical_annealing,
    "cyclical_of_run": cyclical_of_run,
    "paper": paper_annealing,
}
# Directions in which an optimizer steps; the learning rate is multiplied to them.
OPTIMIZERS = {
    "adam": lambda config: optax.scale_by_adam(),
    "adamw": lambda config: optax.chain(
        optax.scale_by_adam(), optax.add_decayed_weights(config.train.weight_decay)
    ),
    "sgd": lambda config: (
        optax.trace(config.train.momentum) if config.train.momentum else optax.identity()
    ),
}
LEARNING_RATES = {  # peak, steps of the run -> schedule
    "none": lambda rate, num_steps: optax.constant_schedule(rate),
    "plateau": lambda rate, num_steps: optax.constant_schedule(rate),
    "linear": lambda rate, num_steps: optax.linear_schedule(rate, 0.0, num_steps),
    "cosine": optax.cosine_decay_schedule,
}


def build_recipe(
    config: ConfigDict, vocab_size: int, *, steps_per_epoch: int, axis_name: str | None
) -> Recipe:
    """Returns model, objective, schedules, optimizer and procedure of a run.

    The same arguments give the same recipe, so that nothing of it is compiled twice in a process.

    Args:
      config: the whole configuration, checked.
      vocab_size: V.
      steps_per_epoch: batches in one pass over the training split.
      axis_name: mapped axis of the batch, or None.
    """
    return _recipe(FrozenConfigDict(config), vocab_size, steps_per_epoch, axis_name)


@lru_cache(maxsize=8)
def _recipe(
    config: FrozenConfigDict, vocab_size: int, steps_per_epoch: int, axis_name: str | None
) -> Recipe:
    train, objective = config.train, Choice.of(config.objective)
    procedure = Choice.of(config.procedure).build(PROCEDURES)
    rate = LEARNING_RATES[train.learning_rate_decay]
    return Recipe(
        model=text_autoencoder(config.to_dict(), vocab_size=vocab_size, axis_name=axis_name),
        objective=partial(OBJECTIVES[objective.name], **dict(objective.arguments)),
        kl_weight=_kl_schedule(config, steps_per_epoch),
        optimizer=_optimizer(config, by_part=procedure.by_part),
        learning_rate=rate(train.learning_rate, train.num_epochs * steps_per_epoch),
        plateau=_plateau(config),
        procedure=procedure,
        codebook=_codebook_settings(config),
        accumulate=train.accumulate,
        mmd_group=train.mmd_group,
        average=train.average,
    )


def idle_stage(config: ConfigDict, num_steps: int) -> str | None:
    """What is wrong where the learning rate is 0 before a stage ends; None where nothing is.

    Args:
      config: the whole configuration, checked.
      num_steps: that `train.num_epochs` asks for, over which the learning rate falls.
    """
    falls = config.train.learning_rate_decay in ("linear", "cosine")
    if config.procedure.name != "pretrained" or not falls:
        return None
    longest = max(config.procedure.max_steps, default=0)
    if longest <= num_steps:
        return None
    return (
        f"a stage before the last takes up to {longest:,} steps, but the learning rate is 0 after "
        f"{num_steps:,}, as many as train.num_epochs asks for: lower procedure.max_steps, or set "
        "--config.train.learning_rate_decay=none"
    )


def run_warnings(
    config: ConfigDict, recipe: Recipe, *, asked_for: int, num_steps: int
) -> list[str]:
    """What is wrong with how a run's times fit its length, in sentences; λ's are `annealing`'s.

    Args:
      config: the whole configuration, checked.
      recipe: of the run.
      asked_for: steps that `train.num_epochs` asks for.
      num_steps: of the whole run, with every stage.
    """
    found = late_codebook(recipe.codebook, num_steps), idle_stage(config, asked_for)
    return [warning for warning in found if warning]


def initial_state(config: ConfigDict, recipe: Recipe, rng: jax.Array) -> TrainState:
    """Returns the state before the first step; the parameters are drawn from `rng`."""
    variables = initial_variables(recipe.model, rng)
    dim = config.model.latent_dim
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=recipe.optimizer.init(variables["params"]),
        plateau=recipe.plateau.init(variables["params"]) if recipe.plateau else optax.EmptyState(),
        procedure=recipe.procedure.init(variables["params"]),
        average=jax.tree.map(jnp.copy, variables["params"]) if recipe.average else None,
        codebook=initial_codebook(recipe.codebook, dim, _fixed_centers(config, rng)),
    )


def _kl_schedule(config: ConfigDict, steps_per_epoch: int):
    if config.objective.name in WITHOUT_KL_WEIGHT:  # nor does the choice of the best model wait
        return KL_SCHEDULES["constant"](0.0)
    arguments = config.kl_weight.to_dict()
    name = arguments.pop("schedule")
    if name == "paper":
        arguments["steps_per_epoch"] = steps_per_epoch
    elif name.endswith("_of_run"):
        arguments["num_steps"] = config.train.num_epochs * steps_per_epoch
    return KL_SCHEDULES[name](**arguments)


def _optimizer(config: ConfigDict, *, by_part: bool) -> optax.GradientTransformation:
    clip = config.train.clip_norm
    clipping = optax.clip_by_global_norm(clip) if clip else optax.identity()
    direction = OPTIMIZERS[config.train.optimizer](config)
    if by_part:
        direction = optax.partition(dict.fromkeys(PARTS, direction), part_labels)
    return optax.chain(clipping, direction)


def _plateau(config: ConfigDict) -> optax.GradientTransformationExtraArgs | None:
    train = config.train
    if train.learning_rate_decay != "plateau":
        return None
    every_gain = {"rtol": 0.0, "atol": 1e-12}  # optax wants one of them above 0
    return reduce_on_plateau(
        factor=train.plateau_factor, patience=train.plateau_patience, **every_gain
    )


def _codebook_settings(config: ConfigDict) -> CodebookSettings:
    settings, batch = config.codebook, config.train.batch_size
    return CodebookSettings(
        num_centers=settings.num_centers,
        # Whole batches only, so that the ring buffer wraps between two of them.
        num_codes=max(settings.num_codes // batch, 1) * batch,
        warm_up=settings.warm_up,
        refresh_every=settings.refresh_every,
        num_iterations=settings.num_iterations,
        floor=settings.floor,
    )


def _fixed_centers(config: ConfigDict, rng: jax.Array) -> jax.Array | None:
    settings = config.codebook
    if settings.refresh_every or not settings.num_centers:
        return None
    centers = centers_from_file(config)
    if centers is None:
        shape = (settings.num_centers, config.model.latent_dim)
        return 0.6 * jax.random.normal(jax.random.fold_in(rng, 1), shape)
    return jnp.asarray(centers, jnp.float32)


def centers_from_file(config: ConfigDict) -> np.ndarray | None:
    """Returns the fixed centers [C, Z] that `codebook.centers_file` names, or None without one.

    Raises:
      InputError: the file cannot be read, or is not of this shape, or holds what is no number.
    """
    given = os.path.expandvars(config.codebook.centers_file)
    path = home_expanded(given, "--config.codebook.centers_file: ")
    if not path:
        return None
    shape = (config.codebook.num_centers, config.model.latent_dim)
    try:
        centers = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"--config.codebook.centers_file: {path} cannot be read as an array of shape {shape}: "
            f"{error}"
        ) from error
    if not isinstance(centers, np.ndarray):
        raise InputError(f"--config.codebook.centers_file: {path} is not an .npy file of one array")
    if centers.shape != shape:
        raise InputError(
            f"--config.codebook.centers_file: {path} has shape {centers.shape}; "
            f"codebook.num_centers and model.latent_dim require {shape}"
        )
    if centers.dtype.kind not in "iuf" or not np.isfinite(centers).all():
        raise InputError(
            f"--config.codebook.centers_file: {path} must contain only finite real numbers"
        )
    return centers
