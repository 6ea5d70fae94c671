"""Mapping the pure steps over the local devices: the one file that names pmap.

The state is one replicated, unstacked array a leaf (`in_axes=None`, `out_axes=None`): what is
saved is what one device holds, so that a checkpoint does not know how many devices wrote it.

On one device there is no axis: its collectives would compute nothing, but copy every gradient.
"""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.step import Recipe, eval_step, train_step

AXIS = "devices"


def axis_name() -> str | None:
    """Returns the mapped axis of the steps, None on one device."""
    return AXIS if jax.device_count() > 1 else None


def check_batch_size(batch_size: int) -> None:
    """Raises InputError unless the local devices divide the batch evenly."""
    devices = jax.local_device_count()
    if batch_size % devices:
        raise InputError(
            f"--config.train.batch_size is {batch_size}, which {devices} devices do not divide: "
            f"take a multiple of {devices}"
        )


def replicate(tree):
    """Puts a pytree on every local device, unstacked, as the mapped steps return it."""
    if axis_name() is None:
        return jax.device_put(tree, jax.local_devices()[0])
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_rows(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reshapes a batch's leading axis [B, ...] to [D, B/D, ...]; on one device it stays."""
    if axis_name() is None:
        return batch
    devices = jax.local_device_count()
    return {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}


def joined_rows(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Undoes `split_rows`."""
    if axis_name() is None:
        return batch
    return {name: x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}


def mapped_train_step(recipe: Recipe, *, donate: bool = True) -> Callable:
    """Returns (state, batch, rng) -> (state, metrics).

    The batch is as `split_rows` gives it, the recipe's model has `axis_name()`.

    Args:
      recipe: of the step.
      donate: the state's memory becomes the next state's, and the caller cannot use it again.
    """
    step = partial(train_step, recipe=recipe, axis_name=recipe.model.axis_name)
    donated = (0,) if donate else ()
    if recipe.model.axis_name is None:
        return jax.jit(step, donate_argnums=donated)
    return jax.pmap(step, AXIS, in_axes=(None, 0, None), out_axes=None, donate_argnums=donated)


def mapped_eval_step(recipe: Recipe) -> Callable:
    """Returns (state, batch, rng) -> (sums over it all, codes [D, B/D, Z] or [B, Z])."""
    step = partial(eval_step, recipe=recipe, axis_name=recipe.model.axis_name)
    if recipe.model.axis_name is None:
        return jax.jit(step)
    return jax.pmap(step, AXIS, in_axes=(None, 0, None), out_axes=(None, 0))
