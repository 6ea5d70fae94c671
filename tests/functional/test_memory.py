"""No public function holds a number for every pair of points and every dimension at once."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import wae_rnf_jax as wae
from wae_rnf_jax.functional import _arrays, mmd

POINTS, DIM, BLOCK = 1024, 64, 128
ROWS = jax.ShapeDtypeStruct((POINTS, DIM), jnp.float32)
STEPS = jax.ShapeDtypeStruct((4, POINTS // 4, DIM), jnp.float32)
RBF = partial(wae.rbf_kernel, bandwidth=1.0)
IMQ = wae.multi_scale_imq_kernel


def centers(points):
    return wae.kmeans(jax.random.key(0), points, num_clusters=POINTS, num_iterations=2)[0]


# A function, its arguments, and how many pairs of points it has to do with at a time.
CASES = {
    "rbf_kernel": (RBF, (ROWS, ROWS), POINTS**2),
    "imq_kernel": (partial(wae.imq_kernel, constant=1.0), (ROWS, ROWS), POINTS**2),
    "multi_scale_imq_kernel": (IMQ, (ROWS, ROWS), POINTS**2),
    "mmd_squared_biased": (partial(wae.mmd_squared_biased, kernel=RBF), (ROWS, ROWS), POINTS**2),
    "mmd_squared_unbiased": (
        partial(wae.mmd_squared_unbiased, kernel=IMQ, block_size=POINTS // 2),
        (ROWS, ROWS),
        POINTS**2 // 2,
    ),
    "kmeans": (centers, (ROWS,), POINTS**2),
    "rbf_bandwidth": (wae.rbf_bandwidth, (ROWS, ROWS), POINTS**2),
    "rbf_precision": (
        partial(wae.rbf_precision, bandwidth=1.0, floor=1.0),
        (STEPS, ROWS),
        POINTS**2,
    ),
    "rbf_log_magnification": (
        partial(wae.rbf_log_magnification, bandwidth=1.0, floor=1.0),
        (ROWS, ROWS),
        POINTS**2,
    ),
    "attract_regularizer": (
        partial(wae.attract_regularizer, sharpness=0.5),
        (STEPS, ROWS),
        POINTS**2,
    ),
    "repel_regularizer": (
        partial(wae.repel_regularizer, sharpness=0.5),
        (STEPS, ROWS),
        POINTS**2,
    ),
    "gaussian_mutual_information": (
        partial(wae.gaussian_mutual_information, block_size=BLOCK),
        (ROWS, ROWS, ROWS),
        BLOCK * POINTS,
    ),
}


def temporary_numbers(function, *shapes):
    """How many float32 the compiled function has room for, beside its arguments and results."""
    compiled = jax.jit(function).lower(*shapes).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 4


@pytest.mark.parametrize("derivative", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_not_all_coordinates_of_all_pairs(name, derivative):
    function, shapes, num_pairs = CASES[name]

    def total(*args):
        return function(*args).sum()

    held = temporary_numbers(
        jax.value_and_grad(total, tuple(range(len(shapes)))) if derivative else function, *shapes
    )
    # The differences of a block are; and for a pair a number or two, for each of seven scales.
    assert held < num_pairs * DIM / 2


def test_the_measure_sees_what_it_should():
    def plain(x, y):
        return jnp.exp(-jnp.square(x[:, None] - y[None]).sum(-1)).sum()

    assert temporary_numbers(jax.grad(plain, (0, 1)), ROWS, ROWS) >= POINTS**2 * DIM


def test_mmd_makes_blocks_by_itself():
    """4,000 codes have 16 million pairs, of which a million are held."""
    codes = jax.ShapeDtypeStruct((4_000, DIM), jnp.float32)
    for estimate in (wae.mmd_squared_biased, wae.mmd_squared_unbiased):
        held = temporary_numbers(jax.grad(partial(estimate, kernel=IMQ)), codes, codes)
        assert held < 4_000**2


@pytest.fixture
def few_at_a_time(monkeypatch):
    monkeypatch.setattr(_arrays, "_MOST_DIFFERENCES", 20)
    monkeypatch.setattr(mmd, "_MOST_PAIRS", 16)


def everything(x, y, z):
    """Of 7, 4 and 2 × 5 points in 3 dimensions."""
    return (
        wae.imq_kernel(x, y, constant=0.7),
        wae.rbf_precision(z, y, bandwidth=1.1, floor=0.1),
        wae.rbf_bandwidth(x, y),
        wae.mmd_squared_unbiased(x, y, kernel=RBF),
        wae.mmd_squared_biased(x, y, kernel=wae.multi_scale_imq_kernel),
    )


def derivatives(x, y, z):
    """Values, slopes along a direction, and gradients."""
    values, slopes = jax.jvp(everything, (x, y, z), (jnp.sin(x), jnp.cos(y), jnp.sin(z)))

    def total(*args):
        return sum((leaf**2).sum() for leaf in everything(*args))

    return values, slopes, jax.grad(total, (0, 1, 2))(x, y, z)


def points():
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape)) for shape in ((7, 3), (4, 3), (2, 5, 3))]


@pytest.mark.usefixtures("x64")
def test_blocks_change_neither_value_nor_derivative(request):
    expected = jax.jit(lambda *args: derivatives(*args))(*points())
    request.getfixturevalue("few_at_a_time")
    compiled = jax.jit(lambda *args: derivatives(*args)).lower(*points())
    assert compiled.as_text().count("while") > 4
    actual = compiled.compile()(*points())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14), actual, expected
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("transform", ["vmap", "shard_map"])
def test_blocks_under(transform, request):
    examples = [jnp.stack([x, 2 * x, -x, x + 1]) for x in points()]
    expected = [derivatives(*(x[i] for x in examples)) for i in range(4)]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *expected)
    request.getfixturevalue("few_at_a_time")
    if transform == "vmap":
        mapped = jax.vmap(lambda *args: derivatives(*args))
    else:
        one = PartitionSpec("i")

        def local(*args):
            return jax.tree.map(lambda x: x[None], derivatives(*(x[0] for x in args)))

        mesh = jax.make_mesh((4,), ("i",), axis_types=(AxisType.Auto,))
        mapped = jax.shard_map(local, mesh=mesh, in_specs=one, out_specs=one)
    actual = jax.jit(mapped)(*examples)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), actual, expected
    )
