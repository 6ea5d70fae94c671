"""One table of flows at ordinary and awkward parameters drives the inverse and log-det tests."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from flow_cases import AWKWARD, CASES, DIM, draw, planar_params

import wae_rnf_jax as wae

ROWS = 6
FLOW_NAMES = tuple(wae.FLOWS)
INVERTIBLE_WELL = [name for name, (_, _, slope) in CASES.items() if slope >= -0.9]
NEARLY_FOLDED = [name for name in CASES if name not in INVERTIBLE_WELL]
REFERENCES = {
    "planar": (references.planar_forward, references.planar_inverse),
    "planar_paper": (references.planar_forward, references.planar_inverse),
    "radial": (references.radial_forward, references.radial_inverse),
}


def test_every_flow_is_in_the_table():
    assert {flow for flow, _, _ in CASES.values()} == set(FLOW_NAMES)


# Compiled once a flow and dtype, for all its parameters.
FORWARD = {flow: jax.jit(functions.forward) for flow, functions in wae.FLOWS.items()}
INVERSE = {flow: jax.jit(functions.inverse) for flow, functions in wae.FLOWS.items()}


@partial(jax.jit, static_argnames="flow")
def log_dets(flow, params, z):
    """The flow's own, and those of its Jacobians by automatic differentiation."""
    forward = wae.FLOWS[flow].forward
    jacobians = jax.vmap(jax.jacfwd(lambda point: forward(params, point)[0]))(z)
    return forward(params, z)[1], jnp.linalg.slogdet(jacobians)[1]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("x64")
def test_log_det_is_that_of_the_autodiff_jacobian(name):
    flow, params, _ = CASES[name]
    log_det, expected = log_dets(flow, params, 2 * draw(1, ROWS, DIM))
    # The paper's formula adds 1e-8 to a determinant that is not below .1 here.
    tolerance = 2e-7 if "paper" in flow else 1e-11
    np.testing.assert_allclose(log_det, expected, rtol=1e-10, atol=tolerance)


@pytest.mark.parametrize("name", INVERTIBLE_WELL)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.usefixtures("x64")
def test_inverse_undoes_forward(name, dtype):
    flow, params, slope = CASES[name]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    z = jnp.asarray(3 * draw(2, 40, DIM), dtype)
    y, log_det = FORWARD[flow](params, z)
    back, inverse_log_det = INVERSE[flow](params, y)
    assert back.dtype == inverse_log_det.dtype == dtype
    size = np.linalg.norm(z, axis=-1)
    tolerance = 1e-5 * (1 + size) / (1 + min(slope, 0)) if dtype == np.float32 else 1e-10
    assert np.all(np.linalg.norm(back - z, axis=-1) <= tolerance)
    assert np.all(np.abs(inverse_log_det + log_det) <= 10 * tolerance)


@pytest.mark.parametrize("name", NEARLY_FOLDED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.usefixtures("x64")
def test_inverse_of_a_nearly_folded_flow_is_finite_and_lands_near(name, dtype):
    """Its z cannot be told from its neighbors, but they all map to y."""
    flow, params, _ = CASES[name]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    y = jnp.asarray(np.concatenate([3 * draw(2, 40, DIM), np.zeros((1, DIM))]), dtype)
    if flow == "planar":  # the fold itself: wᵀy + b = 0
        fold = -params["b"] * params["w"] / jnp.sum(params["w"] ** 2)
        y = jnp.concatenate([y, fold[None], fold[None] * (1 + 1e-6)])
    z, inverse_log_det = INVERSE[flow](params, y)
    again, log_det = FORWARD[flow](params, z)
    chex.assert_tree_all_finite((z, inverse_log_det, again, log_det))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(again, y, rtol=0, atol=tolerance * 12)


@pytest.mark.parametrize("name", [name for name in CASES if "constant" not in name])
@pytest.mark.usefixtures("x64")
def test_points_match_the_reference(name):
    flow, params, slope = CASES[name]
    forward_reference, inverse_reference = REFERENCES[flow]
    points = 2 * draw(3, 3, DIM)
    y, log_det = FORWARD[flow](params, points)
    for row, point in enumerate(points):
        expected, expected_log_det = forward_reference(params, point)
        np.testing.assert_allclose(y[row], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(log_det[row], expected_log_det, rtol=1e-7, atol=1e-7)
    if slope >= -0.9:
        z, _ = INVERSE[flow](params, points)
        expected = [inverse_reference(params, point) for point in points]
        np.testing.assert_allclose(z, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("flow", ["planar", "radial"])
@pytest.mark.parametrize("dim", [1, 2, 32, 300])
def test_initialization_is_exactly_the_identity(flow, dim):
    forward, _, init = wae.FLOWS[flow]

    @jax.jit
    def run(key, z):
        return forward(init(key, dim), z)

    z = jnp.float32(3 * draw(10, 5, dim))
    for seed in range(8):
        y, log_det = run(jax.random.key(seed), z)
        np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(log_det, 0)


@pytest.mark.parametrize("flow", ["planar", "radial"])
def test_initialization_is_exactly_the_identity_without_jit(flow):
    """Where the rounding is another."""
    forward, _, init = wae.FLOWS[flow]
    z = jnp.float32(3 * draw(10, 5, DIM))
    for seed in range(8):
        y, log_det = forward(init(jax.random.key(seed), DIM), z)
        np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(log_det, 0)


def test_initializers_follow_their_description():
    key = jax.random.key(0)
    planar = wae.planar_identity_params(key, 1000)
    assert planar["b"] == 0
    np.testing.assert_allclose(np.sum(planar["w"] ** 2), 1.0, atol=0.2)
    expected = np.log(np.expm1(1)) * planar["w"] / np.sum(planar["w"] ** 2)
    np.testing.assert_allclose(planar["u"], expected, rtol=1e-5)
    paper = wae.planar_paper_params(key, 1000)
    assert paper["b"] == 1
    for name in ("u", "w"):
        np.testing.assert_allclose(np.std(paper[name]), 1.0, atol=0.1)
    assert abs(np.corrcoef(paper["u"], paper["w"])[0, 1]) < 0.2
    radial = wae.radial_identity_params(key, 1000)
    assert radial["alpha_raw"] == radial["beta_raw"]


@pytest.mark.parametrize("flow", ["planar", "radial"])
@pytest.mark.usefixtures("x64")
def test_the_identity_can_be_left(flow):
    """The gradient at the start is that of the unrounded map, by finite differences."""
    forward, _, init = wae.FLOWS[flow]
    params, z = init(jax.random.key(0), DIM), jnp.asarray(draw(4, DIM))

    def loss(params):
        y, log_det = forward(params, z)
        return jnp.sum(y**2) + log_det

    gradient, loss = jax.jit(jax.grad(loss))(params), jax.jit(loss)
    for name, value in params.items():
        direction = jnp.asarray(draw(5, *value.shape))
        ahead, behind = (loss({**params, name: value + step * direction}) for step in (1e-5, -1e-5))
        slope = jnp.sum(gradient[name] * direction)
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(gradient)) > 0.1


@pytest.mark.parametrize(
    "name", ["planar", pytest.param("planar contracting", marks=pytest.mark.slow), "radial"]
)
@pytest.mark.usefixtures("x64")
def test_inverse_is_differentiated_right_to_second_order(name):
    """inverse(forward(z)) does not depend on the parameters: its derivatives in them are 0.

    They are sums of derivatives through both functions that are far from 0 themselves.
    """
    flow, params, _ = CASES[name]
    z = jnp.asarray(draw(6, DIM))
    leaves, structure = jax.tree.flatten(params)

    def moved(t):
        return structure.unflatten(leaf + t * draw(7, *leaf.shape) for leaf in leaves)

    def composed(t):
        y, log_det = wae.FLOWS[flow].forward(moved(t), z)
        back, inverse_log_det = wae.FLOWS[flow].inverse(moved(t), y)
        return jnp.append(back, log_det + inverse_log_det)

    def alone(t):
        return wae.FLOWS[flow].inverse(moved(t), z)[0]

    forward, reverse = jax.jacfwd(composed), jax.jacrev(composed)
    zeros, slope = jax.jit(
        lambda t: ((forward(t), reverse(t), jax.jacfwd(reverse)(t)), jax.jacfwd(alone)(t))
    )(0.0)
    for zero in zeros:
        np.testing.assert_allclose(zero, 0, atol=1e-8)
    assert np.max(np.abs(slope)) > 0.1


@partial(jax.jit, static_argnames="flow")
def values_and_gradients(flow, params, z):
    """Of the sum of all outputs, forward and inverse."""

    def total(function):
        return lambda params, z: sum(map(jnp.sum, function(params, z)))

    functions = (wae.FLOWS[flow].forward, wae.FLOWS[flow].inverse)
    return [jax.value_and_grad(total(f), (0, 1))(params, z) for f in functions]


@pytest.mark.parametrize("name", AWKWARD)
def test_values_and_gradients_are_finite_at_awkward_points(name):
    flow, params, z = AWKWARD[name]
    params, z = jax.tree.map(jnp.float32, (params, z))
    chex.assert_tree_all_finite(values_and_gradients(flow, params, z))


def test_log_det_on_the_fold_is_exact_in_single_precision():
    """The textbook's log(1 + ψᵀû) is -inf here."""
    params = jax.tree.map(jnp.float32, {**planar_params(np.exp(-20) - 1), "b": np.zeros(())})
    _, log_det = FORWARD["planar"](params, jnp.zeros(DIM))
    projection = np.dot(np.float64(params["w"]), np.float64(params["u"]))
    np.testing.assert_allclose(log_det, np.log(references.softplus(projection)), rtol=1e-5)


def test_the_paper_log_det_is_its_formula():
    params, z = planar_params(-0.95), draw(8, ROWS, DIM)
    params32, z32 = jax.tree.map(jnp.float32, (params, z))
    y, log_det = FORWARD["planar_paper"](params32, z32)
    direction = references.planar_direction(params["u"], params["w"])
    psi = (1 - np.tanh(z @ params["w"] + params["b"]) ** 2)[:, None] * params["w"]
    expected = np.log(np.abs(1 + psi @ direction) + 1e-8)
    np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y, FORWARD["planar"](params32, z32)[0], rtol=1e-6)


@pytest.mark.parametrize("flow", FLOW_NAMES)
def test_wrong_ranks_sizes_and_dtypes_are_refused(flow):
    forward, inverse, init = wae.FLOWS[flow]
    params, z = init(jax.random.key(0), DIM), jnp.ones([2, DIM])
    wrong_rank = jax.tree.map(lambda leaf: leaf[None], params)
    integers = jax.tree.map(lambda leaf: leaf.astype(int), params)
    for function in (forward, inverse):
        for arguments in (
            (params, z[:, :-1]),
            (params, z.astype(int)),
            (params, jnp.ones([])),
            (wrong_rank, z),
            (integers, z),
        ):
            with pytest.raises(AssertionError):
                function(*arguments)
