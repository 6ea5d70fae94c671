from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax.sharding import AxisType, PartitionSpec

import wae_rnf_jax as wae

KERNELS = {
    "rbf": (partial(wae.rbf_kernel, bandwidth=1.3), partial(references.rbf, bandwidth=1.3)),
    "multi_scale_imq": (wae.multi_scale_imq_kernel, references.multi_scale_imq),
}
ESTIMATES = {False: wae.mmd_squared_unbiased, True: wae.mmd_squared_biased}
DEVICES = 4
SHARDED, WHOLE = PartitionSpec("i"), PartitionSpec()


def _samples(num_x, num_y, dim=3):
    rng = np.random.default_rng(0)
    return 1.5 * rng.normal(size=(num_x, dim)) + 0.3, rng.normal(size=(num_y, dim))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.usefixtures("x64")
def test_matches_the_sum_over_pairs(name, biased):
    kernel, reference = KERNELS[name]
    x, y = _samples(5, 7)
    expected = references.mmd_squared(reference, x, y, biased=biased)
    estimate = jax.jit(partial(ESTIMATES[biased], kernel=kernel))
    np.testing.assert_allclose(estimate(x, y), expected, rtol=1e-10)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.usefixtures("x64")
def test_masked_rows_do_not_count_whatever_they_hold(biased):
    kernel, reference = KERNELS["rbf"]
    x, y = _samples(6, 4)
    where = np.array([True, False, True, True, False, True])
    padded = np.where(where[:, None], x, np.nan)
    estimate = partial(ESTIMATES[biased], kernel=kernel, where=where)
    value, gradient = jax.jit(jax.value_and_grad(estimate))(padded, y)
    expected = references.mmd_squared(reference, x[where], y, biased=biased)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    np.testing.assert_array_equal(gradient[~where], 0)
    chex.assert_tree_all_finite(gradient)


def test_unbiased_estimate_has_mean_zero_under_the_null_and_grows_with_the_shift():
    kernel, _ = KERNELS["multi_scale_imq"]
    num_draws = 1_000
    keys = jax.random.split(jax.random.key(0), num_draws)

    @jax.jit
    def estimates(shift):
        def estimate(key):
            x, y = jax.random.normal(key, (2, 8, 2))
            return [function(x + shift, y, kernel=kernel) for function in ESTIMATES.values()]

        return jax.vmap(estimate)(keys)

    unbiased, biased = estimates(0.0)
    error = np.std(unbiased) / np.sqrt(num_draws)
    assert abs(np.mean(unbiased)) < 3 * error
    assert np.mean(biased) > 20 * error  # so the test would see a diagonal left in
    means = [np.mean(estimates(shift)[0]) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert np.all(np.diff(means) > 10 * error)


def _transforms(function):
    """The function of (scale, x, y, where) over D shards, by each way of mapping."""
    mesh = jax.make_mesh((DEVICES,), ("i",), axis_types=(AxisType.Auto,))
    sharded = jax.shard_map(
        function, mesh=mesh, in_specs=(WHOLE, SHARDED, SHARDED, SHARDED), out_specs=WHOLE
    )

    def split(mapped):
        def run(scale, *arrays):
            parts = [a.reshape(DEVICES, a.shape[0] // DEVICES, *a.shape[1:]) for a in arrays]
            results = mapped(scale, *parts)
            for result in results:
                np.testing.assert_array_equal(result, jnp.full_like(result, result[0]))
            return [result[0] for result in results]

        return run

    axes = (None, 0, 0, 0)
    return {
        "shard_map": jax.jit(sharded),
        "pmap": split(jax.pmap(function, "i", in_axes=axes)),
        "vmap": split(jax.jit(jax.vmap(function, axes, axis_name="i"))),
    }


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("transform", ["shard_map", "pmap", "vmap"])
def test_over_an_axis_it_is_the_global_batch(rows, transform):
    """In value and in the gradient of a shared parameter, one row per device included."""
    x, y = (jnp.float32(a) for a in _samples(DEVICES * rows, DEVICES * rows))
    where = jnp.arange(DEVICES * rows) != 1
    kernel, _ = KERNELS["rbf"]

    def losses(scale, x, y, where, axis_name=None):
        options = {"kernel": kernel, "where": where, "axis_name": axis_name}
        return jnp.stack([estimate(scale * x, y, **options) for estimate in ESTIMATES.values()])

    def local(scale, x, y, where):
        def mean_losses(scale):
            return jax.lax.pmean(losses(scale, x, y, where, "i"), "i")

        return mean_losses(scale), jax.lax.pmean(jax.jacrev(mean_losses)(scale), "i")

    expected = _values_and_slopes(losses)(jnp.float32(1.2), x, y, where)
    actual = _transforms(local)[transform](jnp.float32(1.2), x, y, where)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    assert np.all(np.abs(expected[1]) > 1e-2)


@pytest.mark.parametrize(
    "estimate",
    [*ESTIMATES.values(), partial(wae.mmd_squared_in_groups, group_size=2)],
    ids=["unbiased", "biased", "in groups"],
)
def test_shard_map_sees_that_it_is_the_same_on_all_devices(estimate):
    """By its checks, which are on by default, without a mean over the devices by the caller."""
    x, y = (jnp.float32(a) for a in _samples(DEVICES * 2, DEVICES * 2))
    function = partial(estimate, kernel=KERNELS["rbf"][0])
    mesh = jax.make_mesh((DEVICES,), ("i",), axis_types=(AxisType.Auto,))
    mapped = jax.shard_map(
        jax.value_and_grad(partial(function, axis_name="i")),
        mesh=mesh,
        in_specs=(SHARDED, SHARDED),
        out_specs=(WHOLE, SHARDED),
    )
    (value, gradient), (expected, slope) = jax.jit(mapped)(x, y), jax.value_and_grad(function)(x, y)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def _values_and_slopes(function):
    return jax.jit(lambda *args: (function(*args), jax.jacrev(function)(*args)))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("block_size", [1, 3, 5])
@pytest.mark.usefixtures("x64")
def test_blocks_change_neither_value_nor_gradient(biased, block_size):
    """Rows that the block size divides, and does not, and fewer rows than a block."""
    kernel, _ = KERNELS["multi_scale_imq"]
    x, y = _samples(7, 4)
    where = np.arange(7) != 2
    whole = partial(ESTIMATES[biased], kernel=kernel, where=where)
    blocks = partial(whole, block_size=block_size)
    expected, actual = (jax.jit(jax.value_and_grad(f, (0, 1)))(x, y) for f in (whole, blocks))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-14), actual, expected)


@pytest.mark.parametrize("transform", ["shard_map", "pmap"])
def test_blocks_over_an_axis(transform):
    x, y = (jnp.float32(a) for a in _samples(DEVICES * 2, DEVICES * 2))
    where = jnp.arange(DEVICES * 2) != 1
    estimate = partial(wae.mmd_squared_unbiased, kernel=KERNELS["rbf"][0])

    def local(scale, x, y, where):
        def mean_loss(scale):
            value = estimate(scale * x, y, where=where, axis_name="i", block_size=3)
            return jax.lax.pmean(value, "i")

        value, gradient = jax.value_and_grad(mean_loss)(scale)
        return value, jax.lax.pmean(gradient, "i")

    whole = jax.jit(jax.value_and_grad(lambda s: estimate(s * x, y, where=where)))
    expected = whole(jnp.float32(1.2))
    actual = _transforms(local)[transform](jnp.float32(1.2), x, y, where)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_memory_is_that_of_a_block():
    """Temporary memory of the gradient at 4,096 codes, of which a block is a 32nd."""
    codes = jax.ShapeDtypeStruct((4096, 8), jnp.float32)

    def temporary(block_size):
        estimate = partial(
            wae.mmd_squared_unbiased, kernel=wae.multi_scale_imq_kernel, block_size=block_size
        )
        compiled = jax.jit(jax.grad(estimate)).lower(codes, codes).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole = temporary(4096)
    assert whole >= 4 * 4096**2
    assert temporary(128) < whole / 4


def test_gradient_is_finite_where_all_points_are_equal():
    ones = jnp.ones([3, 2])
    for estimate in ESTIMATES.values():
        estimate = partial(estimate, kernel=KERNELS["rbf"][0])
        value, gradient = jax.jit(jax.value_and_grad(estimate))(ones, ones)
        np.testing.assert_allclose(value, 0, atol=1e-6)
        np.testing.assert_array_equal(gradient, 0)


def test_fewer_than_two_rows_in_all_are_refused():
    one, two = jnp.ones([1, 3]), jnp.ones([2, 3])
    kernel = wae.multi_scale_imq_kernel
    with pytest.raises(ValueError, match="at least 2 rows of x in all, got 1"):
        wae.mmd_squared_unbiased(one, two, kernel=kernel)
    with pytest.raises(ValueError, match="at least 2 rows of y in all, got 1"):
        wae.mmd_squared_unbiased(two, one, kernel=kernel)
    with pytest.raises(ValueError, match="at least 1 rows of x in all, got 0"):
        wae.mmd_squared_biased(one[:0], two, kernel=kernel)
    assert wae.mmd_squared_biased(one, one, kernel=kernel) == 0
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        wae.mmd_squared_biased(one, one, kernel=kernel, block_size=0)
    mapped = partial(wae.mmd_squared_unbiased, kernel=kernel, axis_name="i")
    with pytest.raises(ValueError, match="at least 2 rows of x in all, got 1"):
        jax.vmap(mapped, axis_name="i")(one[None], one[None])


def test_wrong_ranks_sizes_and_dtypes_are_refused():
    x = jnp.ones([3, 2])
    for estimate in ESTIMATES.values():
        for y, where in (
            (x[0], None),
            (x[:, :1], None),
            (x.astype(int), None),
            (x, jnp.ones([2], bool)),
            (x, jnp.ones([3])),
        ):
            with pytest.raises(AssertionError):
                estimate(x, y, kernel=wae.multi_scale_imq_kernel, where=where)


def _groups_by_hand(x, y, where, group_size, kernel):
    values = []
    for first in range(0, len(x), group_size):
        rows = slice(first, first + group_size)
        if where[rows].sum() >= 2:
            values.append(
                wae.mmd_squared_unbiased(x[rows], y[rows], kernel=kernel, where=where[rows])
            )
    return sum(values) / len(values)


@pytest.mark.parametrize("group_size", [2, 4, 8])
@pytest.mark.parametrize("backend", ["one", "pmap", "shard_map"])
def test_groups_are_those_of_the_global_batch_on_any_layout(backend, group_size):
    """Value and gradient; one group has no two valid rows and drops out."""
    kernel, _ = KERNELS["multi_scale_imq"]
    x, y = (jnp.asarray(a, jnp.float32) for a in _samples(8, 8))
    where = jnp.array([1, 1, 1, 0, 1, 1, 0, 0], bool)

    def estimate(x, y, where, axis_name=None):
        return wae.mmd_squared_in_groups(
            x, y, kernel=kernel, group_size=group_size, where=where, axis_name=axis_name
        )

    expected, slope = jax.value_and_grad(_groups_by_hand)(x, y, where, group_size, kernel)
    if backend == "one":
        value, gradient = jax.jit(jax.value_and_grad(estimate))(x, y, where)
    else:
        step = jax.value_and_grad(partial(estimate, axis_name="i"))
        if backend == "pmap":  # the gradient is that of the sum of all devices' values
            parts = (a.reshape(DEVICES, -1, *a.shape[1:]) for a in (x, y, where))
            values, gradient = jax.pmap(step, "i")(*parts)
            value, gradient = values[0], gradient.reshape(x.shape) / DEVICES
            np.testing.assert_array_equal(values, value)
        else:
            mesh = jax.sharding.Mesh(np.array(jax.devices()[:DEVICES]), ("i",))

            def share(x, y, where):
                value, gradient = step(x, y, where)
                return value[None], gradient  # whose types tell that the value is all devices'

            values, gradient = jax.jit(
                jax.shard_map(share, mesh=mesh, in_specs=SHARDED, out_specs=SHARDED)
            )(x, y, where)
            value = values[0]
    np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_groups_are_unbiased_and_vary_more():
    kernel, _ = KERNELS["multi_scale_imq"]

    def estimate(key, group_size):
        x, y = jax.random.normal(key, (2, 32, 3))
        return wae.mmd_squared_in_groups(x + 0.5, y, kernel=kernel, group_size=group_size)

    keys = jax.random.split(jax.random.key(0), 2_000)
    found = {
        g: np.asarray(jax.jit(jax.vmap(partial(estimate, group_size=g)))(keys)) for g in (4, 32)
    }
    error = np.sqrt(sum(values.var() for values in found.values()) / len(keys))
    assert abs(found[4].mean() - found[32].mean()) < 4 * error
    assert found[4].std() > 1.2 * found[32].std()


@pytest.mark.parametrize("group_size", [1, 3, 16])
def test_groups_that_do_not_fit_are_refused(group_size):
    x, y = _samples(8, 8)
    with pytest.raises(ValueError, match=f"group_size is {group_size}"):
        wae.mmd_squared_in_groups(
            jnp.asarray(x), jnp.asarray(y), kernel=KERNELS["rbf"][0], group_size=group_size
        )
