"""Posteriors under jax: keys that belong to examples, transformations, and what trees are for."""

from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from posterior_cases import BATCH, SUPPORTS, make, unit

import wae_rnf_jax as wae

DEVICES = 4


def statistics(posterior):
    return posterior.kl(), posterior.entropy(), posterior.spread


def everything(posterior, keys):
    """Whatever an example has, led by the batch, and the gradient of some of it."""

    def total(posterior):
        z = posterior.sample(keys)
        pairs = posterior.pairwise_log_prob(jnp.asarray(CODES[:, : z.shape[-1]]))
        values = (posterior.log_prob(z), *statistics(posterior), pairs.T)
        return sum(jnp.sum(jnp.sin(x)) for x in (z, *values)), (z, values)

    (_, (z, values)), gradient = jax.value_and_grad(total, has_aux=True)(posterior)
    return {"z": z, "values": values, "gradient": gradient, "prior": posterior.prior.sample(keys)}


CODES = unit(np.random.default_rng(4).normal(size=(4, 3))).astype(np.float32)
ROWS = 2 * DEVICES


def rows_of(tree, rows):
    return jax.tree.map(lambda leaf: leaf[rows], tree)


@cache
def of_all_rows(support):
    keys = wae.example_keys(jax.random.key(5), jnp.arange(ROWS))
    return make(support, batch=ROWS), keys, jax.jit(everything)(make(support, batch=ROWS), keys)


def transformed(transform, posterior, keys):
    apart = partial(jax.tree.map, lambda x: x.reshape(DEVICES, 2, *x.shape[1:]))
    together = partial(jax.tree.map, lambda x: x.reshape(ROWS, *x.shape[2:]))
    if transform == "vmap":
        return together(jax.jit(jax.vmap(everything))(apart(posterior), apart(keys)))
    if transform == "pmap":
        return together(jax.pmap(everything)(apart(posterior), apart(keys)))
    mesh = jax.make_mesh((DEVICES,), ("i",), axis_types=(AxisType.Auto,))
    split = PartitionSpec("i")
    mapped = jax.shard_map(everything, mesh=mesh, in_specs=(split, split), out_specs=split)
    return jax.jit(mapped)(posterior, keys)


@pytest.mark.parametrize("transform", ["vmap", "pmap", "shard_map"])
@pytest.mark.parametrize("support", ["plane", "sphere"])
def test_an_example_is_the_same_however_the_batch_is_laid_out(support, transform):
    assert jax.device_count() >= DEVICES
    posterior, keys, expected = of_all_rows(support)
    actual = transformed(transform, posterior, keys)
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    chex.assert_tree_all_finite(actual)
    chex.assert_trees_all_close(*jax.device_get((actual, expected)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [[5, 0, 7, 2, 1, 3, 6, 4], [6], [1, 3, 4]], ids=len)
@pytest.mark.parametrize("support", ["plane", "sphere"])
def test_a_draw_belongs_to_the_example(support, rows):
    """It goes where its posterior and key go, in a batch of any size, jitted or not."""
    posterior, keys, expected = of_all_rows(support)
    assert len(np.unique(expected["z"], axis=0)) == ROWS
    assert len(np.unique(expected["prior"], axis=0)) == ROWS
    rows = np.array(rows)
    z = rows_of(posterior, rows).sample(keys[rows])
    np.testing.assert_allclose(z, expected["z"][rows], atol=1e-6)
    np.testing.assert_allclose(
        posterior.prior.sample(keys[rows]), expected["prior"][rows], atol=1e-6
    )
    # The noise is the key's, not the place's.
    others = rows_of(posterior, rows).sample(keys[(rows + 1) % ROWS])
    assert np.all(np.abs(others - z).max(-1) > 1e-3)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("support", SUPPORTS)
def test_derivatives_of_a_draw_are_those_of_the_same_noise(support, key):
    posterior, keys = make(support, np.float64), wae.example_keys(key, jnp.arange(BATCH))
    rng = np.random.default_rng(6)
    direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), posterior)
    if support != "plane":  # of which the second leaf is a constant
        direction = wae.VonMisesFisher(direction.mean_direction, jnp.zeros([BATCH]))

    @jax.jit
    def moved(step):
        return jax.tree.map(lambda x, v: x + step * v, posterior, direction).sample(keys)

    slope = jax.jit(jax.jacfwd(moved))(0.0)
    np.testing.assert_allclose(slope, (moved(1e-6) - moved(-1e-6)) / 2e-6, atol=1e-8)
    assert np.all(np.abs(slope).max(-1) > 1e-2)


def test_a_draw_has_no_derivative_in_the_concentration(key):
    keys = wae.example_keys(key, jnp.arange(BATCH))
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(p.sample(keys)))))(make("sphere"))
    assert isinstance(gradient, wae.VonMisesFisher)
    np.testing.assert_array_equal(gradient.concentration, np.zeros(BATCH))
    assert np.all(np.abs(gradient.mean_direction).max(-1) > 1e-3)
    # The densities do have one.
    slopes = jax.grad(lambda p: p.log_prob(p.center).sum() + p.kl().sum())(make("sphere"))
    assert np.all(slopes.concentration > 0)


def assert_same_posterior(actual, expected):
    """Of the same type, with the same leaves, and therefore with the same results."""
    assert type(actual) is type(expected)
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    chex.assert_trees_all_close(*jax.device_get((actual, expected)), rtol=1e-6)


@pytest.mark.parametrize("support", ["plane", "sphere"])
def test_a_posterior_is_the_tree_of_its_leaves(support):
    posterior = make(support)
    names = {"plane": ["mean", "log_var"], "sphere": ["mean_direction", "concentration"]}[support]
    found = jax.tree_util.tree_flatten_with_path(posterior)[0]
    assert [path[0].name for path, _ in found] == names
    for (_, leaf), name in zip(found, names, strict=True):
        assert leaf is getattr(posterior, name)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, posterior)
    assert type(doubled) is type(posterior)
    np.testing.assert_array_equal(getattr(doubled, names[1]), 2 * getattr(posterior, names[1]))


@pytest.mark.parametrize("support", ["plane", "sphere"])
def test_rows_of_the_leaves_are_the_posteriors_of_those_rows(support):
    posterior = make(support)
    expected = statistics(posterior)
    for rows in (np.array([2, 0]), slice(1, 3), jnp.array([True, False, True]), 1):
        actual = statistics(rows_of(posterior, rows))
        chex.assert_trees_all_close(actual, tuple(x[rows] for x in expected), rtol=1e-6)
    alone = rows_of(posterior, 1)
    assert alone.prior == posterior.prior
    z = posterior.center + 0.1
    np.testing.assert_allclose(alone.log_prob(z[1]), posterior.log_prob(z)[1], rtol=1e-6)


@pytest.mark.parametrize("support", ["plane", "sphere"])
def test_two_posteriors_stack_and_map_over_the_new_axis(support, key):
    first, second = make(support), jax.tree.map(lambda leaf: leaf[::-1], make(support))
    keys = jax.random.split(key, (2, BATCH))
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, second)
    z = jax.jit(jax.vmap(lambda p, keys: p.sample(keys)))(together, keys)
    # What needs no map works on the whole stack.
    chex.assert_shape([together.log_prob(z), *statistics(together)], (2, BATCH))
    pairs = jax.vmap(lambda p, z: p.pairwise_log_prob(z))(together, z)
    for i, apart in enumerate((first, second)):
        np.testing.assert_allclose(z[i], apart.sample(keys[i]), atol=1e-6)
        np.testing.assert_allclose(together.log_prob(z)[i], apart.log_prob(z[i]), rtol=1e-5)
        np.testing.assert_allclose(pairs[i], apart.pairwise_log_prob(z[i]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("support", ["plane", "sphere"])
def test_a_posterior_is_argument_result_and_carry(support):
    posterior = make(support)
    traced = []

    @jax.jit
    def halved(posterior):
        traced.append(type(posterior))
        return jax.tree.map(lambda leaf: leaf / 2, posterior), posterior.kl()

    result, kl = halved(posterior)
    halved(result)
    assert traced == [type(posterior)]  # once: nothing of it is static but its type
    assert_same_posterior(result, jax.tree.map(lambda leaf: leaf / 2, posterior))
    np.testing.assert_allclose(kl, posterior.kl(), rtol=1e-6)

    final, kls = jax.lax.scan(lambda carry, _: halved(carry), posterior, length=3)
    assert_same_posterior(final, jax.tree.map(lambda leaf: leaf / 8, posterior))
    np.testing.assert_allclose(kls[1], result.kl(), rtol=1e-6)


def test_priors_are_values_without_leaves(key):
    assert jax.tree.leaves([wae.StandardNormal(3), wae.UniformSphere(3)]) == []
    assert [make(support).prior for support in SUPPORTS] == [
        wae.StandardNormal(2),
        wae.UniformSphere(2),
        wae.UniformSphere(3),
    ]
    assert len({wae.StandardNormal(3), wae.StandardNormal(3), wae.UniformSphere(3)}) == 2
    keys = wae.example_keys(key, jnp.arange(2))
    static = jax.jit(lambda prior, keys: prior.sample(keys), static_argnums=0)
    traced = jax.jit(lambda prior, keys: (prior, prior.sample(keys)))
    for prior in (wae.StandardNormal(3), wae.UniformSphere(3)):
        returned, z = traced(prior, keys)
        assert returned == prior
        np.testing.assert_array_equal(z, static(prior, keys))
