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
from wae_rnf_jax.functional.flows import FLOWS
from wae_rnf_jax.functional.schedules import (
    cyclical_annealing,
    linear_annealing,
    paper_annealing,
)
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.features import FEATURES
from wae_rnf_jax.models.initializers import INITIALIZERS
from wae_rnf_jax.training.codebook import CodebookSettings, initial_codebook
from wae_rnf_jax.training.objectives import OBJECTIVES
from wae_rnf_jax.training.parallel import BACKENDS
from wae_rnf_jax.training.step import Recipe, TrainState

KL_SCHEDULES = {
    "constant": optax.constant_schedule,
    "linear": linear_annealing,
    "cyclical": cyclical_annealing,
    "paper": paper_annealing,
}


# key -> (rule in words, test); keys of the model, the data, the codebook and the training.
_RULES = {
    "data.source": ("grammar, text or tfds", lambda v: v in ("grammar", "text", "tfds")),
    "data.num_buckets": ("at least 1", lambda v: v >= 1),
    "model.embedding_dim": ("at least 1", lambda v: v >= 1),
    "model.hidden_dim": ("at least 1", lambda v: v >= 1),
    "model.latent_dim": ("at least 0", lambda v: v >= 0),
    "model.flow": (f"one of {', '.join(FLOWS)}", lambda v: v in FLOWS),
    "model.num_flow_steps": ("at least 0", lambda v: v >= 0),
    "model.dropout": ("at least 0 and below 1", lambda v: 0 <= v < 1),
    "model.word_dropout": ("at least 0 and below 1", lambda v: 0 <= v < 1),
    "model.initializer": (f"one of {', '.join(INITIALIZERS)}", lambda v: v in INITIALIZERS),
    "model.cross_entropy_block": ("at least 1", lambda v: v >= 1),
    "model.dtype": ("float32 or bfloat16", lambda v: v in ("float32", "bfloat16")),
    "objective.name": (f"one of {', '.join(OBJECTIVES)}", lambda v: v in OBJECTIVES),
    "kl_weight.schedule": (f"one of {', '.join(KL_SCHEDULES)}", lambda v: v in KL_SCHEDULES),
    "codebook.num_centers": ("at least 0", lambda v: v >= 0),
    "codebook.refresh_every": ("at least 0", lambda v: v >= 0),
    "codebook.floor": ("above 0", lambda v: v > 0),
    "train.batch_size": ("at least 2", lambda v: v >= 2),
    "train.accumulate": ("at least 1", lambda v: v >= 1),
    "train.backend": (f"one of {', '.join(BACKENDS)}", lambda v: v in BACKENDS),
    "train.num_epochs": ("at least 1", lambda v: v >= 1),
    "train.learning_rate": ("above 0", lambda v: v > 0),
    "train.learning_rate_decay": (
        "none, linear or cosine",
        lambda v: v in ("none", "linear", "cosine"),
    ),
    "train.clip_norm": ("at least 0", lambda v: v >= 0),
    "train.log_every": ("at least 1", lambda v: v >= 1),
    "train.select": ("best or last", lambda v: v in ("best", "last")),
}


def check_config(config: ConfigDict) -> None:
    """Raises InputError for the first value that no run could use, naming its key and its rule."""
    for key, (rule, test) in _RULES.items():
        section, name = key.split(".")
        value = config[section][name]
        if not test(value):
            raise InputError(f"--config.{key} is {value!r}: it must be {rule}")
    if "maximum" in config.kl_weight and not 0 <= config.kl_weight.maximum <= 1:
        maximum = config.kl_weight.maximum
        raise InputError(f"--config.kl_weight.maximum is {maximum!r}: it must lie in [0, 1]")
    if "features" in config.objective and config.objective.features not in FEATURES:
        raise InputError(
            f"--config.objective.features is {config.objective.features!r}: it must be one of "
            f"{', '.join(FEATURES)}"
        )
    model, needs_code = config.model, config.objective.name != "lm"
    if needs_code != bool(model.latent_dim):
        rule = "at least 1" if needs_code else "0"
        raise InputError(
            f"--config.model.latent_dim is {model.latent_dim}: objective "
            f"{config.objective.name} needs {rule}"
        )
    if model.tied_output and model.embedding_dim != model.hidden_dim:
        raise InputError(
            f"--config.model.tied_output needs embedding_dim ({model.embedding_dim}) and "
            f"hidden_dim ({model.hidden_dim}) to be equal"
        )


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
        model=TextAutoencoder(vocab_size=vocab_size, axis_name=axis_name, **config.model.to_dict()),
        objective=partial(objective, **objective_arguments),
        kl_weight=_kl_schedule(config, steps_per_epoch),
        optimizer=_optimizer(config, config.train.num_epochs * steps_per_epoch),
        codebook=_codebook_settings(config),
        accumulate=config.train.accumulate,
    )


def initial_state(config: ConfigDict, recipe: Recipe, rng: jax.Array) -> TrainState:
    """Returns the state before the first step; the parameters are drawn from `rng`."""
    model = recipe.model.clone(axis_name=None)
    tokens, lengths = jnp.zeros((2, 4), jnp.int32), jnp.full((2,), 4)
    init = jax.jit(partial(model.init, where=jnp.ones(2, bool), train=True))
    variables = init(rng, tokens, lengths, jax.random.split(rng, 2))
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
    settings, dim = config.codebook, config.model.latent_dim
    if settings.refresh_every or not settings.num_centers:
        return None
    shape = (settings.num_centers, dim)
    if not settings.centers_file:
        return 0.6 * jax.random.normal(jax.random.fold_in(rng, 1), shape)
    path = os.path.expandvars(settings.centers_file)
    try:
        centers = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"codebook.centers_file: {path} cannot be read as an array of shape {shape}: {error}"
        ) from error
    if centers.shape != shape:
        raise InputError(
            f"codebook.centers_file: {path} has shape {centers.shape}; codebook.num_centers and "
            f"model.latent_dim ask for {shape}"
        )
    return jnp.asarray(centers, jnp.float32)
