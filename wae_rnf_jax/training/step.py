"""The pure training and evaluation steps.

Letters: B rows of a batch on this device, D devices, Z latent.

Both are functions of (state, batch, rng) and a static `Recipe`; with `axis_name` they are one
device's share of a mapped step. Means are the local sum times D over the global count, so that the
mean over devices is the mean over sentences, whatever rows a device holds.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from wae_rnf_jax.functional.gaussian import gaussian_kl
from wae_rnf_jax.functional.pullback import pullback_log_magnification
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.features import code_features
from wae_rnf_jax.training.codebook import Codebook, CodebookSettings, updated_codebook
from wae_rnf_jax.training.objectives import (
    Context,
    Objective,
    kl_divergence,
)

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


class Recipe(NamedTuple):
    """What stays fixed in a run."""

    model: TextAutoencoder
    objective: Objective
    kl_weight: Callable[[jax.Array], jax.Array]  # optax schedule of λ
    optimizer: optax.GradientTransformation
    codebook: CodebookSettings


class _Axis(NamedTuple):
    """Reductions over the mapped axis, or over nothing."""

    name: str | None

    def sum(self, x: jax.Array) -> jax.Array:
        return x if self.name is None else jax.lax.psum(x, self.name)

    def mean(self, tree):
        return tree if self.name is None else jax.lax.pmean(tree, self.name)

    @property
    def size(self) -> int:
        return 1 if self.name is None else jax.lax.axis_size(self.name)


def _rows_mean(values: jax.Array, where: jax.Array, axis: _Axis) -> jax.Array:
    """This device's share of the mean over the valid rows of the global batch."""
    count = jnp.maximum(axis.sum(where.sum()), 1)
    return jnp.where(where, values, 0).sum() * axis.size / count


def _forward(recipe: Recipe, params: dict, state: TrainState, batch: Batch, keys: jax.Array, train):
    variables = {"params": params, "batch_stats": state.batch_stats}
    return recipe.model.apply(
        variables,
        batch["tokens"],
        batch["lengths"],
        keys,
        where=batch["where"],
        train=train,
        mutable=["batch_stats"] if train else [],
    )


def _log_magnification(
    model: TextAutoencoder, state: TrainState, batch: Batch, zk: jax.Array, features: str
) -> jax.Array:
    """½ log|G| at codes [B, Z], each teacher-forced on its own sentence; no gradient: [B]."""
    variables = {"params": state.params, "batch_stats": state.batch_stats}

    def of_example(example: tuple[jax.Array, ...]) -> jax.Array:
        z, tokens, length = example
        return pullback_log_magnification(
            lambda z: code_features(
                model, variables, z, tokens[None], length[None], features=features
            ),
            z,
        )

    # One at a time: the Jacobian of a sentence's features holds T·V·Z numbers.
    codes = jax.lax.stop_gradient(zk)
    return jax.lax.map(of_example, (codes, batch["tokens"], batch["lengths"]))


def train_step(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent on the objective.

    Args:
      state: the present state, the same on every device.
      batch: tokens [B, L], lengths [B], index [B], where [B]: this device's rows.
      rng: the run's key; the step and each row's index are folded in.
      recipe: model, objective, schedules and optimiser.
      axis_name: mapped axis of the batch, or None.

    Returns:
      The next state and the metrics, means over the global batch.
    """
    axis = _Axis(axis_name)
    where = batch["where"]
    example_root, codebook_key = jax.random.split(jax.random.fold_in(rng, state.step))
    keys = jax.vmap(jax.random.split)(example_keys(example_root, batch["index"]))
    kl_weight = jnp.asarray(recipe.kl_weight(state.step), jnp.float32)
    ctx = Context(
        keys[:, 1],
        where,
        kl_weight,
        state.codebook,
        axis_name,
        functools.partial(_log_magnification, recipe.model, state, batch),
    )

    def loss_function(params: dict):
        out, updates = _forward(recipe, params, state, batch, keys[:, 0], train=True)
        loss, values = jnp.zeros(()), {}
        for name, (weight, value) in recipe.objective(out, ctx).items():
            value = _rows_mean(value, where, axis) if value.ndim else value
            values[name] = value
            loss = loss + weight * value
        # The mean over devices stands inside the gradient: right in every kind of mapping.
        return axis.mean(loss), (values, out, updates)

    gradient = jax.value_and_grad(loss_function, has_aux=True)
    (loss, (values, out, model_updates)), grads = gradient(state.params)
    grads = axis.mean(grads)
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, state.params)
    codebook = updated_codebook(
        state.codebook,
        out.mean,
        out.log_var,
        where,
        state.step,
        codebook_key,
        settings=recipe.codebook,
        axis_name=axis_name,
    )
    metrics = {
        "loss": loss,
        **axis.mean(values),
        "kl_weight": kl_weight,
        "grad_norm": optax.tree.norm(grads),
        "num_sentences": axis.sum(where.sum()),
        "num_tokens": axis.sum(jnp.where(where, batch["lengths"] + 1, 0).sum()),
    }
    next_state = state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=axis.mean(model_updates.get("batch_stats", {})),
        opt_state=opt_state,
        codebook=codebook,
    )
    return next_state, metrics


def eval_step(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None = None
) -> tuple[Metrics, dict[str, jax.Array]]:
    """The bound of a batch, dropout off, one draw of the code a sentence.

    Args:
      state: the present state.
      batch: as for `train_step`.
      rng: the evaluation's key; each row's index is folded in.
      recipe: the model is read.
      axis_name: mapped axis of the batch, or None.

    Returns:
      Sums over the valid rows of the global batch: neg_elbo, rec, kl, kl_base (nats), with their
      denominators num_sentences and num_tokens; and this device's z0, mean, log_var [B, Z].
    """
    axis = _Axis(axis_name)
    keys = example_keys(rng, batch["index"])
    out, _ = _forward(recipe, state.params, state, batch, keys, train=False)
    kl = kl_divergence(out)
    per_row = {
        "neg_elbo": out.nll + kl,
        "rec": out.nll,
        "kl": kl,
        "kl_base": gaussian_kl(out.mean, out.log_var),
        "num_sentences": jnp.ones_like(out.nll),
        "num_tokens": batch["lengths"] + 1,
    }
    where = batch["where"]
    sums = {name: axis.sum(jnp.where(where, v, 0).sum()) for name, v in per_row.items()}
    return sums, {"z0": out.z0, "mean": out.mean, "log_var": out.log_var}
