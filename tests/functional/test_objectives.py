"""Free bits in every objective with a KL: what is weighed, what is watched, what has a gradient."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wr
from wae_rnf_jax import Codebook, ForwardPass
from wae_rnf_jax.functional.objectives import OBJECTIVES, WITH_FLOW, ObjectiveContext
from wae_rnf_jax.functional.sequences import example_keys

B, Z, K = 6, 3, 2
WHERE = jnp.array([1, 1, 1, 1, 1, 0], bool)
ARGUMENTS = {"mmd_weight": 10.0, "rnf_weight": 1.0, "sharpness": 0.5, "features": "fisher"}
WITH_KL = [name for name in OBJECTIVES if name != "lm"]


def magnification(zk, features, *, one_in, num_words):
    """Of one row it was not measured, of another it has not full rank."""
    assert (features, one_in, num_words) == ("fisher", 1, 0)
    return zk.sum(-1).at[0].set(jnp.nan).at[1].set(-jnp.inf)


def context():
    centers = jnp.ones((2, Z))
    ones = jnp.ones(())
    codebook = Codebook(centers, ones, 0.1 * ones)
    keys = example_keys(jax.random.key(1), jnp.arange(B))
    return ObjectiveContext(
        keys, WHERE, jnp.asarray(0.5), codebook, pullback_log_magnification=magnification
    )


def forward(mean, log_var, num_steps=0):
    z0 = mean + 0.1
    points = jnp.stack([z0 + k for k in range(num_steps + 1)])
    log_dets = jnp.full((num_steps, B), 0.2)
    return ForwardPass(jnp.ones(B), wr.DiagonalGaussian(mean, log_var), z0, points, log_dets)


def terms(name, out, **changes):
    function = OBJECTIVES[name]
    taken = inspect.signature(function).parameters
    arguments = {key: value for key, value in ARGUMENTS.items() if key in taken}
    return function(out, context(), **arguments, **changes)


def posterior():
    mean, log_var = jax.random.normal(jax.random.key(0), (2, B, Z))
    return mean, 0.3 * log_var


@pytest.mark.parametrize("num_steps", [0, K])
@pytest.mark.parametrize("name", WITH_KL)
def test_every_objective_with_a_kl_takes_a_floor(name, num_steps):
    out = forward(*posterior(), num_steps)
    plain, without = terms(name, out), terms(name, out, kl_floor=0.0)
    floored = terms(name, out, kl_floor=2.0)
    assert plain.keys() == without.keys()
    assert floored.keys() == plain.keys() | {"kl_floored"}
    kl = np.asarray(plain["kl"][1])
    np.testing.assert_allclose(floored["kl"][1], kl)
    assert float(floored["kl"][0]) == 0.0
    assert float(floored["kl_floored"][0]) == pytest.approx(0.5)
    if num_steps:  # of the batch's mean, of valid rows
        expected = max(kl[np.asarray(WHERE)].mean(), 2.0 * Z)
    else:
        expected = wr.free_bits_kl(*posterior(), floor=2.0)
    np.testing.assert_allclose(floored["kl_floored"][1], expected, rtol=1e-6)


@pytest.mark.parametrize("num_steps", [0, K])
def test_below_the_floor_the_kl_has_no_gradient(num_steps):
    def floored(mean, log_var, floor):
        out = forward(mean, log_var, num_steps)
        return terms("vae", out, kl_floor=floor)["kl_floored"][1].sum()

    below = jax.grad(floored, argnums=(0, 1))(*posterior(), 50.0)
    assert not any(np.any(gradient) for gradient in below)
    above = jax.grad(floored, argnums=(0, 1))(*posterior(), 1e-6)
    plain = jax.grad(
        lambda mean, log_var: (
            jnp.where(WHERE, terms("vae", forward(mean, log_var, num_steps))["kl"][1], 0).sum()
            / (5 if num_steps else 1)
        ),
        argnums=(0, 1),
    )(*posterior())
    for found, expected in zip(above, plain, strict=True):
        np.testing.assert_allclose(found[WHERE], expected[WHERE], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_foreign_code_can_take_any_objective_as_a_loss(name):
    """Of arrays that any model may have made, with a gradient, under jit."""
    steps = K if name in WITH_FLOW else 0

    @jax.jit
    @jax.value_and_grad
    def loss(parts):
        out = forward(*parts, steps)
        if not steps:
            out = ForwardPass.without_flow(out.nll, out.posterior, out.z0)
        return wr.weighted_loss(terms(name, out), where=WHERE)

    value, gradient = loss(posterior())
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(g)) for g in gradient)
    by_hand = sum(
        float(weight) * float(jnp.mean(v[WHERE]) if v.ndim else v)
        for weight, v in terms(name, forward(*posterior(), steps)).values()
    )
    assert float(value) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name", ["wae_paper", "wae_nf_paper", "wae_rnf_paper"])
def test_the_papers_mmd_of_yelp_is_biased_with_its_own_kernel(name):
    steps = K if name in WITH_FLOW else 0
    out, ctx = forward(*posterior(), steps), context()
    codes, draws = ctx.posterior_draws(out), ctx.prior_draws(out)

    def kernel(x, y):
        return jnp.exp(-10 * jnp.square(x[:, None] - y[None]).sum(-1) / Z**2)

    expected = wr.mmd_squared_biased(codes, draws, kernel=kernel, where=WHERE)
    found = terms(name, out, biased_mmd=True)["mmd"]
    np.testing.assert_allclose(found[1], expected, rtol=1e-5)
    assert abs(float(found[1]) - float(terms(name, out)["mmd"][1])) > 1e-3


@pytest.mark.parametrize("name", ["wae_rnf", "wae_rnf_attract", "wae_rnf_repel", "wae_rnf_paper"])
def test_a_context_without_the_codebook_that_is_read_is_refused(name):
    out = wr.ForwardPass.without_flow(
        jnp.ones(3), wr.DiagonalGaussian(jnp.zeros((3, 2)), jnp.zeros((3, 2))), jnp.zeros((3, 2))
    )
    ctx = wr.ObjectiveContext(jax.random.split(jax.random.key(0), 3), jnp.ones(3, bool))
    weights = {"mmd_weight": 1.0, "rnf_weight": 1.0}
    sharpness = {} if name == "wae_rnf" else {"sharpness": 0.5}
    with pytest.raises(ValueError, match="reads the codebook, which ctx lacks"):
        wr.OBJECTIVES[name](out, ctx, **weights, **sharpness)


def test_free_bits_of_a_sphere_are_refused():
    posterior = wr.VonMisesFisher(jnp.eye(3), jnp.full(3, 5.0))
    out = wr.ForwardPass.without_flow(jnp.ones(3), posterior, jnp.eye(3))
    ctx = wr.ObjectiveContext(jax.random.split(jax.random.key(0), 3), jnp.ones(3, bool))
    with pytest.raises(ValueError, match="kl_floor is of Gaussian posteriors"):
        wr.OBJECTIVES["vae"](out, ctx, kl_floor=0.1)


def test_a_batch_of_which_no_row_is_read_is_not_degenerate():
    out = forward(*posterior(), K)
    never = context()._replace(
        pullback_log_magnification=lambda zk, *args, **named: jnp.full(B, jnp.nan)
    )
    arguments = {"mmd_weight": 10.0, "rnf_weight": 1.0, "features": "fisher"}
    found = OBJECTIVES["wae_rnf_pullback"](out, never, **arguments)
    assert float(found["degenerate"][1]) == 0.0
    # Of the valid rows, one of those that were measured has not full rank.
    found = OBJECTIVES["wae_rnf_pullback"](out, context(), **arguments)
    assert float(found["degenerate"][1]) == pytest.approx(0.25)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_means_of_narrow_values_are_in_single_precision(dtype):
    found = context().mean(jnp.full(B, 30_000.0, dtype))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, float(jnp.asarray(30_000.0, dtype)))
    out = forward(*posterior(), K)
    narrow = out._replace(log_dets=out.log_dets.astype(dtype))
    assert narrow.log_det.dtype == jnp.float32
