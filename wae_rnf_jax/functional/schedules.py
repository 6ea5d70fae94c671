"""Schedules of loss weights, as optax has them: functions from the step to a value."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import widened_integers

Schedule = Callable[[int | jax.Array], jax.Array]


def linear_annealing(*, start: float, length: float, maximum: float) -> Schedule:
    """Weight that is 0 until ``start`` and then rises by 1/``length`` a step until ``maximum``.

    clip((step - start) / length, 0, maximum): the slope does not depend on the maximum, which is
    reached at step start + length·maximum (Bowman et al. 2016 for text, arXiv:1511.06349).

    Args:
      start: last step with weight 0.
      length: positive number of steps in which the weight would rise by 1.
      maximum: the cap, not negative.

    Returns:
      A function from the step, an integer array of any shape, to the weight.

    Raises:
      ValueError: the length is not positive or the maximum is negative.

    >>> schedule = linear_annealing(start=6_000, length=40_000, maximum=0.8)
    >>> [round(float(schedule(step)), 2) for step in (0, 6_000, 26_000, 38_000, 90_000)]
    [0.0, 0.0, 0.5, 0.8, 0.8]
    """
    if not length > 0:
        raise ValueError(f"length must be positive, got {length}")
    _check_maximum(maximum)

    def schedule(step: int | jax.Array) -> jax.Array:
        return jnp.clip((_as_float(step) - start) / length, 0.0, maximum)

    return schedule


def cyclical_annealing(*, period: int, rise: float, maximum: float) -> Schedule:
    """Weight that rises from 0 anew in every period (Fu et al. 2019, arXiv:1903.10145).

    min(position in period / (rise·period), 1)·maximum: linear over the share ``rise`` of a period,
    then constant. The cycles do not end; to stop them, join with a constant schedule.

    Args:
      period: positive number of steps of a cycle.
      rise: share of each cycle in which the weight rises, in (0, 1].
      maximum: the value held for the rest of a cycle, not negative.

    Returns:
      A function from the step, an integer array of any shape, to the weight.

    Raises:
      ValueError: the period is not positive, the rise not in (0, 1] or the maximum negative.

    >>> schedule = cyclical_annealing(period=100, rise=0.5, maximum=1.0)
    >>> [float(schedule(step)) for step in (0, 25, 50, 99, 100)]
    [0.0, 0.5, 1.0, 1.0, 0.0]
    """
    if not period > 0:
        raise ValueError(f"period must be positive, got {period}")
    if not 0 < rise <= 1:
        raise ValueError(f"rise must be in (0, 1], got {rise}")
    _check_maximum(maximum)

    def schedule(step: int | jax.Array) -> jax.Array:
        position = jnp.mod(_as_float(step), period)
        return jnp.minimum(position / (rise * period), 1.0) * maximum

    return schedule


def paper_annealing(
    *, steps_per_epoch: int, start: float, length: float, maximum: float
) -> Schedule:
    """Linear annealing as the code of the WAE-RNF paper counts its steps (Wang & Wang 2019).

    It counts 2,000 steps an epoch however many an epoch has: with t = 2000·epoch + step in epoch,
    both from 0, the weight is clip((t - start) / length, 0, maximum).

    Args:
      steps_per_epoch: positive number of steps that an epoch really has.
      start: counted step at which the weight leaves 0.
      length: positive number of counted steps in which the weight would rise by 1.
      maximum: the cap, not negative.

    Returns:
      A function from the step, an integer array of any shape, to the weight.

    Raises:
      ValueError: steps_per_epoch or length is not positive or the maximum is negative.

    >>> schedule = paper_annealing(steps_per_epoch=1_315, start=6_000, length=40_000, maximum=0.8)
    >>> [round(float(schedule(1_315 * epoch)), 2) for epoch in (0, 3, 4, 18, 19)]
    [0.0, 0.0, 0.05, 0.75, 0.8]
    """
    if not steps_per_epoch > 0:
        raise ValueError(f"steps_per_epoch must be positive, got {steps_per_epoch}")
    counted = linear_annealing(start=start, length=length, maximum=maximum)

    def schedule(step: int | jax.Array) -> jax.Array:
        epoch, position = jnp.divmod(widened_integers(_real(step)), steps_per_epoch)
        return counted(2_000.0 * _as_float(epoch) + _as_float(position))

    return schedule


def _as_float(step: int | jax.Array) -> jax.Array:
    """The step as a float (exact to 2²⁴), as unsigned counters would wrap below zero."""
    return _real(step).astype(jnp.result_type(float))


def _real(step: int | jax.Array) -> jax.Array:
    step = jnp.asarray(step)
    if jnp.issubdtype(step.dtype, jnp.complexfloating):
        raise AssertionError(f"a step must be a real number, got {step.dtype}.")
    return step


def _check_maximum(maximum: float) -> None:
    if not maximum >= 0:
        raise ValueError(f"maximum must not be negative, got {maximum}")
