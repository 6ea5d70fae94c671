"""Mapping the pure steps over the local devices: the one file that names pmap and shard_map.

Letters: D devices, B rows of a batch, Z latent.

Both backends take and give the same arrays. The state is one replicated, unstacked array a leaf:
what is saved is what one device holds, so that a checkpoint knows neither the backend nor how many
devices wrote it.
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


def check_batch_size(batch_size: int, accumulate: int) -> None:
    """Raises InputError unless devices times micro-batches divide the batch evenly."""
    devices = jax.local_device_count()
    parts = f"{devices} devices" + f" × {accumulate} micro-batches" * (accumulate > 1)
    if batch_size % (devices * accumulate):
        raise InputError(
            f"train.batch_size is {batch_size}, which {parts} do not divide: "
            f"take a multiple of {devices * accumulate}"
        )


def replicate(tree, devices: Devices | None = None):
    """Puts a pytree on every device (all local ones if None), as the mapped steps return it."""
    return jax.device_put(tree, NamedSharding(_mesh(devices), _WHOLE))


def split_rows(batch: dict[str, np.ndarray], devices: Devices | None = None):
    """Reshapes a batch's leading axis [B, ...] to [D, B/D, ...]."""
    num_devices = len(devices or jax.local_devices())
    return {name: x.reshape(num_devices, -1, *x.shape[1:]) for name, x in batch.items()}


def mapped_train_step(recipe: Recipe, *, backend: str, devices: Devices | None = None) -> Callable:
    """Returns (state, batch [D, B/D, ...], rng) -> (state, metrics); the state is donated."""
    return _mapped(train_step, recipe, backend, devices, out=(_WHOLE, _WHOLE), donate=(0,))


def mapped_eval_step(recipe: Recipe, *, backend: str, devices: Devices | None = None) -> Callable:
    """Returns (state, batch [D, B/D, ...], rng) -> (sums over it all, codes [D, B/D, Z])."""
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
    step = partial(pure_step, recipe=recipe, axis_name=AXIS)
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
