"""What a run will take, found without running it: shapes, memory, arithmetic.

Letters: B rows of a batch, D devices, L the length that a batch is padded to.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.data.batches import bucket_bounds, epoch_plan, padding_share
from wae_rnf_jax.data.buckets import EpochPlan
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.products import PRIMITIVES
from wae_rnf_jax.training.parallel import mapped_train_step
from wae_rnf_jax.training.recipe import Recipe, TrainState
from wae_rnf_jax.training.step import train_step


class Bucket(NamedTuple):
    """The batches of one length in the first epoch; `padding` is the share of empty positions."""

    length: int
    num_batches: int
    num_sentences: int
    padding: float


def planned_buckets(
    lengths: np.ndarray, *, num_buckets: int, batch_size: int, seed: int
) -> list[Bucket]:
    """Returns the buckets that a run will use, by rising length.

    Args:
      lengths: words of each training sentence, [N].
      num_buckets: lengths to pad to at most.
      batch_size: B.
      seed: of the run.
    """
    bounds = bucket_bounds(lengths, num_buckets=num_buckets)
    plan = epoch_plan(lengths, bounds=bounds, batch_size=batch_size, seed=seed, epoch=0)
    buckets = []
    for length in np.unique(plan.bounds):
        part = EpochPlan(plan.rows[plan.bounds == length], plan.bounds[plan.bounds == length])
        num_sentences = int((part.rows >= 0).sum())
        buckets.append(Bucket(int(length), len(part), num_sentences, padding_share(lengths, part)))
    return buckets


def tree_size(tree: Any) -> tuple[int, int]:
    """Returns how many numbers the arrays of a pytree hold, abstract ones too, and their bytes."""
    leaves = jax.tree.leaves(tree)
    counts = [math.prod(leaf.shape) for leaf in leaves]
    return sum(counts), sum(n * leaf.dtype.itemsize for n, leaf in zip(counts, leaves, strict=True))


def abstract_batch(shape: tuple[int, ...], length: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns a batch without numbers: rows of the shape [B] or [D, B/D], of L words each."""
    whole = dict.fromkeys(("lengths", "index"), (shape, jnp.int32))
    parts = {"tokens": ((*shape, length), jnp.int32), **whole, "where": (shape, jnp.bool_)}
    return {name: jax.ShapeDtypeStruct(*of) for name, of in parts.items()}


def step_memory(
    recipe: Recipe, state: TrainState, *, batch_size: int, length: int
) -> dict[str, int] | None:
    """Compiles a training step and asks the compiler what it occupies on each device.

    Args:
      recipe: of the run, its model mapped over the devices.
      state: an abstract one.
      batch_size: B.
      length: L.

    Returns:
      Bytes of the arguments, of results that are not written over them, and of the work space;
      None where this kind of device does not tell.
    """
    devices = jax.local_device_count()
    rows = (batch_size,) if devices == 1 else (devices, batch_size // devices)
    batch = abstract_batch(rows, length)
    lowered = mapped_train_step(recipe).lower(state, batch, abstract_key())
    analysis = lowered.compile().memory_analysis()
    if analysis is None:
        return None
    return {
        "state and batch": analysis.argument_size_in_bytes,
        "other results": analysis.output_size_in_bytes - analysis.alias_size_in_bytes,
        "workspace": analysis.temp_size_in_bytes,
    }


def step_flops(recipe: Recipe, state: TrainState, *, batch_size: int, length: int) -> int:
    """Returns the `matrix_flops` of a training step on the whole batch, B rows of L words."""
    # The blocks of the cross entropy are as many as hold real tokens: here all, as one block.
    model = recipe.model.clone(axis_name=None, cross_entropy_block=batch_size * (length + 1))
    step = partial(train_step, recipe=recipe._replace(model=model))
    return matrix_flops(step, state, abstract_batch((batch_size,), length), abstract_key())


def abstract_key() -> jax.ShapeDtypeStruct:
    """Returns the shape and type of a run's key."""
    return jax.eval_shape(random_key, 0)


def matrix_flops(function: Callable, *args: Any) -> int:
    """Floating-point operations of a function's matrix products, two for each multiply-add.

    XLA's own count takes the body of a loop once. Here a `lax.scan` counts as often as it runs, and
    a loop of unknown length once. Of a `lax.cond` the cheapest branch counts, which is what most
    steps take: no refresh of the codebook, no second pass for unequal weights.

    >>> a = jnp.ones((3, 3))
    >>> def power(a):
    ...     return jax.lax.scan(lambda x, _: (x @ a, None), a, length=10)[0]
    >>> matrix_flops(power, a)
    540

    Args:
      function: what JAX can trace.
      *args: its arguments, or their `jax.ShapeDtypeStruct`.
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr)


def _flops(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name in PRIMITIVES:
            (contracted, _), _ = params.get("dimension_numbers", (((1,), (0,)), ()))
            summed = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2 * summed * math.prod(equation.outvars[0].aval.shape)
            continue
        inner = [_flops(part) for part in _jaxprs(params.values())]
        if name == "cond":
            total += min(inner)
        elif name == "scan":
            total += params["length"] * sum(inner)
        else:
            total += sum(inner)
    return total


def _jaxprs(values: Any) -> Iterator[Any]:
    """The programs among an equation's parameters."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from _jaxprs(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
