"""Mapping the pure steps over the local devices: the one file that names pmap and shard_map.

Letters: D devices, B rows of a batch, Z latent.

Both backends take and give the same arrays. The state is one replicated, unstacked array a leaf:
what is saved is what one device holds, so that a checkpoint knows neither the backend nor how many
devices wrote it.

On one device there is no axis: its collectives would compute nothing, but copy every gradient.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.training.step import Recipe, eval_step, train_step

AXIS = "devices"
BACKENDS = ("pmap", "shard_map")
_WHOLE, _ROWS = PartitionSpec(), PartitionSpec(AXIS)

Devices = Sequence[jax.Device]
Batch = dict[str, np.ndarray]


def axis_name() -> str | None:
    """Returns the mapped axis of the steps, None on one device."""
    return AXIS if jax.device_count() > 1 else None


def check_batch_size(batch_size: int, accumulate: int) -> None:
    """Raises InputError unless devices times micro-batches divide the batch evenly."""
    devices = jax.local_device_count()
    parts = f"{devices} devices" + f" × {accumulate} micro-batches" * (accumulate > 1)
    if batch_size % (devices * accumulate):
        raise InputError(
            f"--config.train.batch_size is {batch_size}, which {parts} do not divide: "
            f"take a multiple of {devices * accumulate}"
        )


def replicate(tree, devices: Devices | None = None):
    """Puts a pytree on every device (all local ones if None), as the mapped steps return it."""
    if axis_name() is None:
        return jax.device_put(tree, jax.local_devices()[0])
    return jax.device_put(tree, NamedSharding(_mesh(devices), _WHOLE))


def split_rows(batch: Batch, devices: Devices | None = None) -> Batch:
    """Reshapes a batch's leading axis [B, ...] to [D, B/D, ...]; on one device it stays."""
    if axis_name() is None:
        return batch
    num_devices = len(devices or jax.local_devices())
    return {name: x.reshape(num_devices, -1, *x.shape[1:]) for name, x in batch.items()}


def joined_rows(batch: Batch) -> Batch:
    """Undoes `split_rows`."""
    if axis_name() is None:
        return batch
    return {name: x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}


def mapped_train_step(
    recipe: Recipe,
    *,
    backend: str = "pmap",
    devices: Devices | None = None,
    donate: bool = True,
) -> Callable:
    """Returns (state, batch, rng) -> (state, metrics).

    The batch is as `split_rows` gives it, the recipe's model has `axis_name()`.

    Args:
      recipe: of the step.
      backend: one of `BACKENDS`; one device needs none.
      devices: to map over; all local ones if None.
      donate: the state's memory becomes the next state's, and the caller cannot use it again.
    """
    donated = (0,) if donate else ()
    return _mapped(train_step, recipe, backend, devices, out=(_WHOLE, _WHOLE), donate=donated)


def mapped_eval_step(
    recipe: Recipe, *, backend: str = "pmap", devices: Devices | None = None
) -> Callable:
    """Returns (state, batch, rng) -> (sums over it all, codes [D, B/D, Z] or [B, Z]).

    The arguments are those of `mapped_train_step`.
    """
    return _mapped(eval_step, recipe, backend, devices, out=(_WHOLE, _ROWS), donate=())


def _mapped(
    pure_step: Callable,
    recipe: Recipe,
    backend: str,
    devices: Devices | None,
    *,
    out: tuple[PartitionSpec, PartitionSpec],
    donate: tuple[int, ...],
) -> Callable:
    step = partial(pure_step, recipe=recipe, axis_name=recipe.model.axis_name)
    if recipe.model.axis_name is None:
        return jax.jit(step, donate_argnums=donate)
    if backend == "pmap":
        out_axes = tuple(0 if spec == _ROWS else None for spec in out)
        in_axes = (None, 0, None)
        return jax.pmap(
            step, AXIS, in_axes=in_axes, out_axes=out_axes, donate_argnums=donate, devices=devices
        )

    def share(state, batch, rng):
        """One device's: its rows come, and go, as [1, B/D, ...]."""
        outputs = step(state, jax.tree.map(lambda x: x[0], batch), rng)
        return tuple(
            jax.tree.map(lambda x: x[None], output) if spec == _ROWS else output
            for output, spec in zip(outputs, out, strict=True)
        )

    mesh, specs = _mesh(devices), (_WHOLE, _ROWS, _WHOLE)
    return jax.jit(
        jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=out),
        in_shardings=tuple(NamedSharding(mesh, spec) for spec in specs),
        donate_argnums=donate,
    )


def _mesh(devices: Devices | None) -> Mesh:
    return Mesh(np.array(devices or jax.local_devices()), (AXIS,))
