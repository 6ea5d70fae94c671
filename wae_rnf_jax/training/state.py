"""From a configuration to what a run needs: model, recipe and first state.

ConfigDict stops here: what these functions build takes plain arguments.
"""

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.schedules import (
    cyclical_annealing,
    linear_annealing,
    paper_annealing,
)
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.training.codebook import CodebookSettings, initial_codebook
from wae_rnf_jax.training.objectives import OBJECTIVES
from wae_rnf_jax.training.step import Recipe, TrainState

KL_SCHEDULES = {
    "constant": optax.constant_schedule,
    "linear": linear_annealing,
    "cyclical": cyclical_annealing,
    "paper": paper_annealing,
}


def build_model(config: ConfigDict, vocab_size: int, *, axis_name: str | None) -> TextAutoencoder:
    """Returns the model; the arguments are those of `build_recipe`."""
    return TextAutoencoder(vocab_size=vocab_size, axis_name=axis_name, **config.model.to_dict())


def build_recipe(
    config: ConfigDict, vocab_size: int, *, steps_per_epoch: int, axis_name: str | None
) -> Recipe:
    """Returns model, objective, schedules and optimiser of a run.

    Args:
      config: the whole configuration, checked.
      vocab_size: V.
      steps_per_epoch: batches in one pass over the training split.
      axis_name: mapped axis of the batch, or None.
    """
    objective_arguments = config.objective.to_dict()
    objective = OBJECTIVES[objective_arguments.pop("name")]
    return Recipe(
        model=build_model(config, vocab_size, axis_name=axis_name),
        objective=partial(objective, **objective_arguments),
        kl_weight=_kl_schedule(config, steps_per_epoch),
        optimizer=_optimizer(config, config.train.num_epochs * steps_per_epoch),
        codebook=_codebook_settings(config),
        accumulate=config.train.accumulate,
    )


def initial_variables(model: TextAutoencoder, rng: jax.Array) -> dict[str, dict]:
    """Returns the parameters, drawn from `rng`, and, where there are any, the batch statistics."""
    tokens, lengths = jnp.zeros((2, 4), jnp.int32), jnp.full((2,), 4)
    init = partial(model.clone(axis_name=None).init, where=jnp.ones(2, bool), train=True)
    return jax.jit(init)(rng, tokens, lengths, jax.random.split(rng, 2))


def initial_state(config: ConfigDict, recipe: Recipe, rng: jax.Array) -> TrainState:
    """Returns the state before the first step; the parameters are drawn from `rng`."""
    variables = initial_variables(recipe.model, rng)
    dim = config.model.latent_dim
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=recipe.optimizer.init(variables["params"]),
        codebook=initial_codebook(recipe.codebook, dim, _fixed_centers(config, rng)),
    )


def _kl_schedule(config: ConfigDict, steps_per_epoch: int):
    arguments = config.kl_weight.to_dict()
    name = arguments.pop("schedule")
    if name == "paper":
        arguments["steps_per_epoch"] = steps_per_epoch
    return KL_SCHEDULES[name](**arguments)


def _optimizer(config: ConfigDict, num_steps: int) -> optax.GradientTransformation:
    rate, decay = config.train.learning_rate, config.train.learning_rate_decay
    schedules = {
        "none": optax.constant_schedule(rate),
        "linear": optax.linear_schedule(rate, 0.0, num_steps),
        "cosine": optax.cosine_decay_schedule(rate, num_steps),
    }
    clip = config.train.clip_norm
    clipping = optax.clip_by_global_norm(clip) if clip else optax.identity()
    return optax.chain(clipping, optax.adam(schedules[decay]))


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
    """Returns the fixed centres [C, Z] that `codebook.centers_file` names, or None without one.

    Raises:
      InputError: the file cannot be read, or is not of this shape, or holds what is no number.
    """
    path = os.path.expanduser(os.path.expandvars(config.codebook.centers_file))
    if not path:
        return None
    shape = (config.codebook.num_centers, config.model.latent_dim)
    try:
        centers = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"--config.codebook.centers_file: {path} cannot be read as an array of shape {shape}: "
            f"{error}"
        ) from error
    if not isinstance(centers, np.ndarray):
        raise InputError(f"--config.codebook.centers_file: {path} is no .npy file of one array")
    if centers.shape != shape:
        raise InputError(
            f"--config.codebook.centers_file: {path} has shape {centers.shape}; "
            f"codebook.num_centers and model.latent_dim ask for {shape}"
        )
    if centers.dtype.kind not in "iuf" or not np.isfinite(centers).all():
        raise InputError(
            f"--config.codebook.centers_file: {path} must hold finite real numbers alone"
        )
    return centers
