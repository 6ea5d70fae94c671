"""Mapping the pure steps over all devices: the one file that names pmap and shard_map.

Letters: D devices of this process, B its rows of a batch, Z latent.

Both backends take and give the same arrays. The state is one replicated, unstacked array a leaf:
what is saved is what one device holds, so that a checkpoint knows neither the backend nor how many
devices wrote it.

Of several processes, each gives and takes the rows of its own devices; the steps' reductions are
over the devices of all of them. A process's devices follow each other in the mesh, as its rows do
in the global batch, so that rows are in the same order on any layout.

On one device there is no axis: its collectives would compute nothing, but copy every gradient.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial

import jax
import numpy as np
from jax.experimental.multihost_utils import global_array_to_host_local_array, process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.jobs.signals import SIGNAL
from wae_rnf_jax.training.recipe import Metrics, Recipe, TrainState
from wae_rnf_jax.training.step import eval_step, train_step

AXIS = "devices"
BACKENDS = ("pmap", "shard_map")
_WHOLE, _ROWS = PartitionSpec(), PartitionSpec(AXIS)

Devices = Sequence[jax.Device]
Batch = dict[str, np.ndarray]


def axis_name() -> str | None:
    """Returns the mapped axis of the steps, None on one device."""
    return AXIS if jax.device_count() > 1 else None


def check_batch_size(batch_size: int, accumulate: int, mmd_group: int = 0) -> None:
    """Raises InputError unless devices, micro-batches and groups divide the batch evenly."""
    devices, processes = jax.device_count(), jax.process_count()
    parts = f"{devices} devices" + f" of {processes} processes" * (processes > 1)
    parts += f" × {accumulate} micro-batches" * (accumulate > 1)
    if batch_size % (devices * accumulate):
        raise InputError(
            f"--config.train.batch_size is {batch_size}, which {parts} do not divide: "
            f"use a multiple of {devices * accumulate}"
        )
    rows, own = batch_size // accumulate, batch_size // (accumulate * devices)
    if mmd_group and (rows % mmd_group or (own % mmd_group and mmd_group % own)):
        raise InputError(
            f"--config.train.mmd_group is {mmd_group}; it must divide the {rows} sentences of "
            f"{'a micro-batch' if accumulate > 1 else 'train.batch_size'}, and divide the {own} of "
            "each device or be a multiple of them"
        )


def replicate(tree, devices: Devices | None = None):
    """Puts a pytree on each device of this process, or of those given, as the steps take it."""
    if axis_name() is None:
        return jax.device_put(tree, jax.local_devices()[0])
    return jax.device_put(tree, NamedSharding(_mesh(devices).local_mesh, _WHOLE))


def split_rows(batch: Batch, devices: Devices | None = None) -> Batch:
    """Reshapes a batch's leading axis [B, ...] to [D, B/D, ...]; on one device it stays."""
    if axis_name() is None:
        return batch
    num_devices = _mesh(devices).local_mesh.size
    return {name: x.reshape(num_devices, -1, *x.shape[1:]) for name, x in batch.items()}


def joined_rows(batch: Batch) -> Batch:
    """Undoes `split_rows`, and gives the rows of all processes."""
    if axis_name() is None:
        return batch
    own = {name: x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}
    return own if jax.process_count() == 1 else process_allgather(own, tiled=True)


def mapped_train_step(
    recipe: Recipe,
    *,
    backend: str = "pmap",
    devices: Devices | None = None,
    donate: bool = True,
) -> Callable:
    """Returns (state, batch, rng) -> (state, metrics), the same function for the same arguments.

    The batch is as `split_rows` gives it, the recipe's model has `axis_name()`. Where the batch has
    `SIGNAL` too, the metrics have the highest of all rows.

    Args:
      recipe: of the step.
      backend: one of `BACKENDS`; one device needs none.
      devices: to map over, those of all processes; all there are if None.
      donate: the state's memory becomes the next state's, and the caller cannot use it again.
    """
    donated = (0,) if donate else ()
    return _mapped(
        _signalled_train_step, recipe, backend, _mesh(devices), out=(_WHOLE, _WHOLE), donate=donated
    )


def mapped_eval_step(
    recipe: Recipe, *, backend: str = "pmap", devices: Devices | None = None
) -> Callable:
    """Returns (state, batch, rng) -> (sums over it all, codes [D, B/D, Z] or [B, Z]).

    The arguments are those of `mapped_train_step`.
    """
    return _mapped(eval_step, recipe, backend, _mesh(devices), out=(_WHOLE, _ROWS), donate=())


def _signalled_train_step(
    state: TrainState, batch: Batch, rng: jax.Array, *, recipe: Recipe, axis_name: str | None
) -> tuple[TrainState, Metrics]:
    rows = {name: x for name, x in batch.items() if name != SIGNAL}
    state, metrics = train_step(state, rows, rng, recipe=recipe, axis_name=axis_name)
    if SIGNAL in batch:
        metrics = {**metrics, SIGNAL: jax.lax.pmax(batch[SIGNAL].max(), axis_name)}
    return state, metrics


@lru_cache(maxsize=8)
def _mapped(
    pure_step: Callable,
    recipe: Recipe,
    backend: str,
    mesh: Mesh,
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
        order = mesh.devices.tolist()
        return jax.pmap(
            step, AXIS, in_axes=in_axes, out_axes=out_axes, donate_argnums=donate, devices=order
        )

    def share(state, batch, rng):
        """One device's: its rows come, and go, as [1, B/D, ...]."""
        outputs = step(state, jax.tree.map(lambda x: x[0], batch), rng)
        return tuple(
            jax.tree.map(lambda x: x[None], output) if spec == _ROWS else output
            for output, spec in zip(outputs, out, strict=True)
        )

    specs = (_WHOLE, _ROWS, _WHOLE)
    mapped = jax.jit(
        jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=out),
        in_shardings=tuple(NamedSharding(mesh, spec) for spec in specs),
        donate_argnums=donate,
    )
    return mapped if jax.process_count() == 1 else _fed_locally(mapped, mesh, out)


def _fed_locally(
    mapped: Callable, mesh: Mesh, out: tuple[PartitionSpec, PartitionSpec]
) -> Callable:
    """A step of global arrays as one whose rows, coming and going, are this process's.

    The state it gives is global; `pmap` takes it as well, and so does `jax.device_get`.
    """
    rows = NamedSharding(mesh, _ROWS)

    def step(state, batch, rng):
        batch = {k: jax.make_array_from_process_local_data(rows, x) for k, x in batch.items()}
        outputs = mapped(state, batch, rng)
        return tuple(
            global_array_to_host_local_array(output, mesh, spec) if spec == _ROWS else output
            for output, spec in zip(outputs, out, strict=True)
        )

    return step


def _mesh(devices: Devices | None) -> Mesh:
    """All devices, or those given, process by process."""
    return _mesh_of(devices and tuple(devices))


@cache
def _mesh_of(devices: tuple[jax.Device, ...] | None) -> Mesh:
    order = sorted(devices or jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(order), (AXIS,))
