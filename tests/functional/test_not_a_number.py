"""What is not a number is never taken for one: NaN in, NaN out, whatever it was compared with."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transform_cases import CASES, DIFFERENTIABLE, arguments

import wae_rnf_jax as wae

NAN = float("nan")


def is_float(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


@cache
def jitted(name):
    return jax.jit(CASES[name].function)


def spoiled(leaf, everywhere):
    return jnp.full_like(leaf, NAN) if everywhere else leaf.at[(0,) * leaf.ndim].set(NAN)


@pytest.mark.parametrize("everywhere", [True, False], ids=["everywhere", "in one place"])
@pytest.mark.parametrize("name", [*DIFFERENTIABLE, "geodesic", "kmeans"])
def test_of_any_argument_it_reaches_every_result(name, everywhere):
    leaves, structure = jax.tree.flatten(arguments(CASES[name], seed=0))
    for i, leaf in enumerate(leaves):
        if not is_float(leaf):
            continue
        changed = [*leaves[:i], spoiled(leaf, everywhere), *leaves[i + 1 :]]
        results = jax.tree.leaves(jitted(name)(*structure.unflatten(changed)))
        assert all(np.isnan(result).any() for result in results if is_float(result))


@pytest.mark.parametrize(
    "decode, metric",
    [
        (lambda z: NAN * z, None),
        (lambda z: jnp.where(jnp.abs(z - 0.5) < 0.2, NAN, z), None),
        (lambda z: 1e30 * z, None),
        (lambda z: z, lambda y: jnp.eye(2) * NAN),
    ],
    ids=["everywhere", "between the ends", "an energy that overflows", "in the metric"],
)
def test_a_geodesic_through_it_has_no_length_and_has_not_converged(decode, metric):
    found = wae.geodesic(decode, jnp.zeros(2), jnp.ones(2), num_points=4, metric=metric)
    assert not found.converged
    assert not any(np.isfinite(x) for x in (found.length, found.energy, found.length_error))
    assert found.num_iterations == 0  # nothing can be found there


@pytest.mark.parametrize("num_iterations", [0, 2])
@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_one_such_point_leaves_kmeans_no_center(bad, num_iterations):
    """Wherever the seeds fall: of a point that is not valid nothing is seen."""
    points = jnp.array([[0.0], [1.0], [bad], [2.0]])
    options = {"num_clusters": 2, "num_iterations": num_iterations}
    for key in jax.random.split(jax.random.key(0), 4):
        assert np.isnan(wae.kmeans(key, points, **options)[0]).all()
        valid = jnp.arange(4) != 2
        assert np.isfinite(wae.kmeans(key, points, where=valid, **options)[0]).all()


def test_a_count_of_active_units_that_cannot_be_told_is_minus_one():
    means = jnp.array([[0.0, 1.0, 0.0], [0.0, -1.0, 5.0], [0.0, -1.0, 5.0]])
    assert wae.active_units(means) == 2
    for changed in (means.at[0, 0].set(NAN), means.at[0, 1].set(jnp.inf)):
        assert wae.active_units(changed) == -1
        assert wae.active_units(changed, where=jnp.array([False, True, True])) == 0
    assert wae.active_units(means, threshold=NAN) == -1
    assert wae.active_units(means, where=jnp.zeros(3, bool)) == -1


ROW = jnp.ones((1, 2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: wae.rbf_kernel(ROW, ROW, bandwidth=NAN),
        lambda: wae.imq_kernel(ROW, ROW, constant=NAN),
        lambda: wae.rbf_precision(ROW, ROW, bandwidth=NAN, floor=1.0),
        lambda: wae.rbf_log_magnification(ROW, ROW, bandwidth=1.0, floor=NAN),
        lambda: wae.attract_regularizer(ROW[None], ROW, sharpness=NAN),
        lambda: wae.repel_regularizer(ROW[None], ROW, sharpness=NAN),
        lambda: wae.linear_annealing(start=0, length=NAN, maximum=1.0),
        lambda: wae.linear_annealing(start=0, length=1, maximum=NAN),
        lambda: wae.cyclical_annealing(period=NAN, rise=0.5, maximum=1.0),
        lambda: wae.cyclical_annealing(period=9, rise=NAN, maximum=1.0),
        lambda: wae.cyclical_annealing(period=9, rise=0.5, maximum=NAN),
        lambda: wae.paper_annealing(steps_per_epoch=NAN, start=0, length=1, maximum=1.0),
        lambda: wae.vmf_kl_to_uniform(NAN, dim=3),
    ],
)
def test_as_a_setting_it_is_refused(call):
    with pytest.raises(ValueError, match="got nan"):
        call()
