import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wae_rnf_jax as wae


def test_linear_annealing_is_the_clipped_line():
    steps = np.array([0, 5_999, 6_000, 6_001, 20_000, 38_000, 38_001, 10**6])
    schedule = wae.linear_annealing(start=6_000, length=40_000, maximum=0.8)
    expected = np.clip((steps - 6_000) / 40_000, 0, 0.8)
    np.testing.assert_allclose(jax.jit(schedule)(steps), expected, rtol=1e-6)


def test_cyclical_annealing_repeats_its_rise():
    steps = np.arange(40)
    schedule = wae.cyclical_annealing(period=10, rise=0.4, maximum=0.5)
    expected = [min((step % 10) / 4, 1) * 0.5 for step in steps]
    np.testing.assert_allclose(jax.jit(schedule)(steps), expected, rtol=1e-6)


def test_paper_annealing_counts_two_thousand_steps_an_epoch():
    epochs, position = np.divmod(np.arange(0, 60 * 1_315, 97), 1_315)
    schedule = wae.paper_annealing(steps_per_epoch=1_315, start=6_000, length=40_000, maximum=0.8)
    expected = np.clip((2_000 * epochs + position - 6_000) / 40_000, 0, 0.8)
    actual = jax.jit(schedule)(1_315 * epochs + position)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


def test_unsigned_counters_do_not_wrap():
    schedule = wae.linear_annealing(start=10, length=10, maximum=1.0)
    assert schedule(jnp.uint32(5)) == 0


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.int32, jnp.uint32])
def test_counters_of_any_integer_dtype_do_not_overflow(dtype):
    """Step 120 is in epoch 40, the 80,000th counted step; and an epoch may be longer than int8."""
    short = wae.paper_annealing(steps_per_epoch=3, start=0, length=100_000, maximum=1.0)
    long = wae.paper_annealing(steps_per_epoch=1_315, start=0, length=100_000, maximum=1.0)
    step = jnp.array(120, dtype)
    np.testing.assert_allclose([short(step), long(step)], [0.8, 0.0012], rtol=1e-6)


def test_counted_steps_above_32_bits_do_not_overflow():
    schedule = wae.paper_annealing(steps_per_epoch=1, start=0, length=1e10, maximum=1.0)
    np.testing.assert_allclose(schedule(jnp.int32(2 * 10**6)), 0.4, rtol=1e-6)


def test_optax_takes_them_as_schedules():
    """A learning rate of 0 and then more: the first update is nothing, the third is not."""
    schedule = wae.linear_annealing(start=0, length=4, maximum=1.0)
    optimizer = optax.sgd(schedule)
    state = optimizer.init(jnp.zeros([]))
    updates = []
    for _ in range(3):
        update, state = optimizer.update(jnp.ones([]), state)
        updates.append(float(update))
    assert updates == [0.0, -0.25, -0.5]


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: wae.linear_annealing(start=0, length=0, maximum=1.0), "length must be positive"),
        (lambda: wae.linear_annealing(start=0, length=1, maximum=-1.0), "must not be negative"),
        (
            lambda: wae.paper_annealing(steps_per_epoch=0, start=0, length=1, maximum=1.0),
            "steps_per_epoch must be positive",
        ),
        (lambda: wae.cyclical_annealing(period=0, rise=0.5, maximum=1.0), "period must be"),
        (lambda: wae.cyclical_annealing(period=9, rise=0.0, maximum=1.0), "rise must be in"),
        (lambda: wae.cyclical_annealing(period=9, rise=1.1, maximum=1.0), "rise must be in"),
        (lambda: wae.cyclical_annealing(period=9, rise=0.5, maximum=-1.0), "not be negative"),
    ],
)
def test_wrong_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
