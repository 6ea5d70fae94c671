"""Where λ leaves 0 and reaches its maximum, against schedules whose course is plain."""

import numpy as np
import pytest

from tests.training.conftest import V, tiny_config
from wae_rnf_jax.training.annealing import annealing
from wae_rnf_jax.training.state import build_recipe

LINEAR = {"schedule": "linear", "start": 100, "length": 1000, "maximum": 0.5}
BEGUN = {"schedule": "linear", "start": -100, "length": 1000, "maximum": 0.5}
SHARES = {"schedule": "linear_of_run", "begin": 0.1, "end": 0.5, "maximum": 0.8}
CYCLES = {"schedule": "cyclical_of_run", "cycles": 4, "rise": 0.5, "maximum": 1.0}
PAPER = {"schedule": "paper", "start": 6_000, "length": 40_000, "maximum": 0.8}


def course(settings, num_steps, steps_per_epoch=10):
    config = tiny_config()
    config.kl_weight = settings
    config.train.num_epochs = num_steps // steps_per_epoch
    recipe = build_recipe(config, V, steps_per_epoch=steps_per_epoch, axis_name=None)
    return recipe, annealing(recipe, settings, num_steps)


@pytest.mark.parametrize(
    "settings, num_steps, leaves, reaches, line",
    [
        (LINEAR, 2000, 100, 600, "leaves 0 after step 100, reaches its maximum 0.5 at step 600"),
        (LINEAR, 400, 100, 600, "leaves 0 after step 100, ends at 0.3 of 0.5 at step 400"),
        (LINEAR, 90, None, 600, "0 throughout the 90 steps"),
        (SHARES, 2000, 200, 1000, "leaves 0 after step 200, reaches its maximum 0.8 at step 1,000"),
        ({"schedule": "constant", "value": 0.0}, 100, None, None, "0 throughout"),
        ({"schedule": "constant", "value": 0.5}, 100, None, 0, "0.5 throughout"),
        (BEGUN, 2000, None, 400, "begins at 0.1, reaches its maximum 0.5 at step 400"),
        (BEGUN, 100, None, 400, "begins at 0.1, ends at 0.2 of 0.5 at step 100"),
    ],
)
def test_the_course_of_a_schedule(settings, num_steps, leaves, reaches, line):
    _, found = course(settings, num_steps)
    assert (found.leaves, found.line()) == (leaves, line)
    if found.maximum:
        assert found.reaches == reaches


def test_steps_that_a_clock_of_its_own_counts_are_called_so():
    recipe, _ = course(LINEAR, 400)
    other = recipe._replace(procedure=recipe.procedure._replace(counts="decoder step"))
    found = annealing(other, LINEAR, 400)
    assert found.line() == "leaves 0 after decoder step 100, ends at 0.3 of 0.5 at decoder step 400"
    assert found.warning().startswith("the run ends at decoder step 400 with λ")


def test_a_run_that_ends_before_is_warned_of():
    _, whole = course(LINEAR, 600)
    assert whole.warning() is None
    for num_steps, at_end in ((590, "0.49"), (90, "0")):
        _, cut = course(LINEAR, num_steps)
        said = cut.warning()
        assert said.startswith(f"the run ends at step {num_steps} with λ")
        assert f"at {at_end} instead of its maximum 0.5, which it would reach at step 600" in said
        assert "linear_of_run" in said


def test_validations_that_never_come_upon_the_maximum_are_warned_of():
    cycles = {"schedule": "cyclical", "period": 100, "rise": 0.5, "maximum": 1.0}
    recipe, _ = course(cycles, 400)
    (never, sometimes) = (annealing(recipe, cycles, 400, eval_every=n) for n in (100, 75))
    assert never.warning().startswith("no validation comes at a step with λ at its maximum 1:")
    assert sometimes.warning() is None
    # With an event they are counted by another clock than λ.
    other = recipe._replace(procedure=recipe.procedure._replace(event=lambda *args, **named: args))
    assert annealing(other, cycles, 400, eval_every=100).warning() is None


def test_the_steps_of_a_paper_schedule_are_those_of_the_run():
    """It counts 2,000 an epoch: 38,000 are 19 epochs of whatever length."""
    _, found = course(PAPER, 1856, steps_per_epoch=116)
    assert found.reaches == 19 * 116
    assert "which it would reach at step 2,204" in found.warning()


@pytest.mark.parametrize("num_steps", [40, 1010])
def test_shares_are_of_the_run(num_steps):
    recipe, found = course(SHARES, num_steps)
    begin, end = 0.1 * num_steps, 0.5 * num_steps
    values = [
        float(recipe.kl_weight(int(step))) for step in (begin, (begin + end) / 2, end, num_steps)
    ]
    np.testing.assert_allclose(values, [0, 0.4, 0.8, 0.8], atol=0.02)
    assert found.complete


@pytest.mark.parametrize("num_steps", [40, 1010])
def test_cycles_end_at_the_maximum(num_steps):
    recipe, found = course(CYCLES, num_steps)
    values = np.array([float(recipe.kl_weight(step)) for step in range(num_steps + 1)])
    assert values[-1] == 1.0
    assert np.sum(np.diff(values) < -0.5) == 3  # three falls between four cycles
    assert np.mean(values == 1.0) == pytest.approx(0.5, abs=0.06)
    assert found.reaches == int(np.argmax(values == 1.0))
