"""The differentiated objective of a batch, over micro-batches and devices: a pure function.

Letters: B rows of a batch on this device, D devices, Z latent.

Means are the local sum times D over the global count, so that the mean over devices is the mean
over sentences, whatever rows a device holds.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from wae_rnf_jax.functional._arrays import match_varying
from wae_rnf_jax.functional.forward_pass import ForwardPass, ObjectiveContext
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.training.magnification import sentence_log_magnification
from wae_rnf_jax.training.recipe import Batch, Metrics, Recipe, TrainState


class Axis(NamedTuple):
    """Reductions over the mapped axis, or over nothing."""

    name: str | None

    def sum(self, x: jax.Array) -> jax.Array:
        """The sum over devices."""
        return x if self.name is None else jax.lax.psum(x, self.name)

    def mean(self, tree):
        """The mean over devices, of every leaf."""
        return tree if self.name is None else jax.lax.pmean(tree, self.name)

    @property
    def size(self) -> int:
        """The number of devices."""
        return 1 if self.name is None else jax.lax.axis_size(self.name)


def forward(
    recipe: Recipe,
    variables: dict,
    batch: Batch,
    keys: jax.Array,
    *,
    kl_weight: jax.Array | float = 1.0,
    weights_key: jax.Array | None = None,
) -> tuple[ForwardPass, dict]:
    """The pass over some rows, and what it has changed; a refined posterior where there is one.

    In training there is a key of the weights that are dropped.
    """
    model, refinement = recipe.model, recipe.procedure.refinement
    train = weights_key is not None
    sentences = batch["tokens"], batch["lengths"]
    options = {"where": batch["where"], "train": train}
    apply = partial(model.apply, rngs={"weights": weights_key} if train else None)
    mutable = ["batch_stats"] if train else []
    if refinement is None or not refinement.steps(train=train):
        return apply(variables, *sentences, keys, **options, mutable=mutable)
    posterior, updates = apply(
        variables, *sentences, keys=keys, **options, method="infer", mutable=mutable
    )
    options_of_steps = {"keys": keys, "kl_weight": kl_weight, "weights_key": weights_key}
    posterior = refinement.refined(
        model, variables, posterior, *sentences, train=train, **options_of_steps
    )
    return apply(variables, posterior, *sentences, keys, **options, method="decoded"), updates


class _RowsOutcome(NamedTuple):
    """What some rows of the batch add to a step, on this device."""

    sums: tuple[jax.Array, Metrics, dict]  # of loss, metrics and gradient, weighed for the batch
    batch_stats: dict
    codes: tuple[jax.Array, jax.Array]  # the posteriors' centers [rows, Z] and spreads [rows]


def _over_micro_batches(
    outcome: Callable[[dict, Batch], _RowsOutcome], batch_stats: dict, batch: Batch, number: int
) -> _RowsOutcome:
    """The outcome of a batch taken in parts, one after another.

    Part m holds the rows m, m + number, …: the same rows of the global batch on any number of
    devices, and padding, which comes last, is spread over all parts.
    """
    if number == 1:
        return outcome(batch_stats, batch)

    def add(carry: tuple, rows: Batch) -> tuple[tuple, tuple]:
        sums, batch_stats = carry
        new = outcome(batch_stats, rows)
        return (jax.tree.map(jnp.add, sums, new.sums), new.batch_stats), new.codes

    parts = {k: x.reshape(-1, number, *x.shape[1:]).swapaxes(0, 1) for k, x in batch.items()}
    shapes = jax.eval_shape(outcome, batch_stats, {k: x[0] for k, x in parts.items()}).sums
    zeros = jax.tree.map(
        lambda x: match_varying(jnp.zeros(x.shape, x.dtype), batch["where"]), shapes
    )
    (sums, batch_stats), codes = jax.lax.scan(add, (zeros, batch_stats), parts)
    codes = jax.tree.map(
        lambda x: x.swapaxes(0, 1).reshape(len(batch["where"]), *x.shape[2:]), codes
    )
    return _RowsOutcome(sums, batch_stats, codes)


class Gradient(NamedTuple):
    """The differentiated objective of a batch, over all devices.

    Attributes:
      loss: [].
      metrics: its terms, and what else is reported of a batch; means over the global batch.
      grads: of all parameters.
      batch_stats: as the batch left them.
      codes: this device's posteriors' centers [B, Z] and spreads [B].
    """

    loss: jax.Array
    metrics: Metrics
    grads: dict
    batch_stats: dict
    codes: tuple[jax.Array, jax.Array]


def step_keys(state: TrainState, rng: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the keys of a step's examples and of its codebook."""
    example_root, codebook_key = jax.random.split(jax.random.fold_in(rng, state.step))
    return example_root, codebook_key


def objective_gradient(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None
) -> Gradient:
    """Differentiates the objective of a batch by all parameters.

    Args:
      state: the present state, the same on every device.
      batch: this device's rows, as for `train_step`.
      rng: the run's key.
      recipe: `accumulate` divides B.
      axis_name: mapped axis of the batch, or None.
    """
    axis = Axis(axis_name)
    where = batch["where"]
    num_sentences = axis.sum(where.sum())
    example_root, _ = step_keys(state, rng)
    kl_weight = recipe.kl_weight_of(state)
    # Each device differentiates by a copy of its own, and its gradient is that of the sum of all
    # devices' losses, in every kind of mapping: one mean over devices follows. By the replicated
    # parameters, shard_map would reduce the gradient at every use of a parameter.
    own_params = jax.tree.map(lambda leaf: match_varying(leaf, where), state.params)

    def outcome(batch_stats: dict, rows: Batch) -> _RowsOutcome:
        loss_function = partial(
            _loss,
            batch_stats=batch_stats,
            rows=rows,
            keys=jax.vmap(jax.random.split)(example_keys(example_root, rows["index"])),
            state=state,
            kl_weight=kl_weight,
            rows_key=jax.random.fold_in(rng, state.step),
            num_sentences=jnp.maximum(num_sentences, 1),
            recipe=recipe,
            axis=axis,
        )
        gradient = jax.value_and_grad(loss_function, has_aux=True)
        (loss, (values, batch_stats, codes)), grads = gradient(own_params)
        return _RowsOutcome((loss, values, grads), batch_stats, codes)

    whole = _over_micro_batches(outcome, state.batch_stats, batch, recipe.accumulate)
    loss, values, grads = axis.mean(whole.sums)
    metrics = {
        "loss": loss,
        **values,
        "kl_weight": kl_weight,
        "grad_norm": optax.tree.norm(grads),
        "num_sentences": num_sentences,
        "num_tokens": axis.sum(jnp.where(where, batch["lengths"] + 1, 0).sum()),
    }
    return Gradient(loss, metrics, grads, whole.batch_stats, whole.codes)


def _loss(
    params: dict,
    *,
    batch_stats: dict,
    rows: Batch,
    keys: jax.Array,
    state: TrainState,
    kl_weight: jax.Array,
    rows_key: jax.Array,
    num_sentences: jax.Array,
    recipe: Recipe,
    axis: Axis,
) -> tuple[jax.Array, tuple[Metrics, dict, tuple[jax.Array, jax.Array]]]:
    """Share of some rows in the loss; with the metrics, the new statistics and the codes.

    A value per row counts as local sum × D / sentences of the global batch. One that is already
    over the rows of all devices counts by their share of the global batch's sentences.
    """
    where = rows["where"]
    variables = {"params": params, "batch_stats": batch_stats}
    weights_key = jax.random.fold_in(rows_key, 2)  # 0 and 1 are those of `step_keys`
    out, updates = forward(
        recipe, variables, rows, keys[:, 0], kl_weight=kl_weight, weights_key=weights_key
    )
    ctx = ObjectiveContext(
        keys[:, 1],
        where,
        kl_weight,
        state.codebook,
        axis.name,
        recipe.mmd_group,
        partial(
            sentence_log_magnification,
            recipe.model,
            state,
            rows,
            keys[:, 1],
            rows_key,
            axis.name,
        ),
    )
    share = axis.sum(where.sum()) / num_sentences
    loss, values = match_varying(jnp.zeros(()), where), {}
    for name, (weight, value) in recipe.objective(out, ctx).items():
        if value.ndim:
            value = jnp.where(where, value, 0).sum() * axis.size / num_sentences
        else:
            value = match_varying(share * value, where)
        values[name] = value
        loss = loss + weight * value
    codes = out.posterior.center, out.posterior.spread
    return loss, (values, updates.get("batch_stats", {}), codes)
