"""Free bits in every objective with a KL: what is weighed, what is watched, what has a gradient."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wr
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.models.autoencoder import ForwardPass
from wae_rnf_jax.training.codebook import Codebook
from wae_rnf_jax.training.objectives import OBJECTIVES, Context

B, Z, K = 6, 3, 2
WHERE = jnp.array([1, 1, 1, 1, 1, 0], bool)
ARGUMENTS = {"mmd_weight": 10.0, "rnf_weight": 1.0, "sharpness": 0.5, "features": "fisher"}
WITH_KL = [name for name in OBJECTIVES if name != "lm"]


def context():
    centers = jnp.ones((2, Z))
    ones = jnp.ones(())
    codebook = Codebook(None, None, centers, ones, 0.1 * ones, jnp.ones((), bool))
    keys = example_keys(jax.random.key(1), jnp.arange(B))
    return Context(keys, WHERE, jnp.asarray(0.5), codebook, None, lambda zk, _: zk.sum(-1))


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
