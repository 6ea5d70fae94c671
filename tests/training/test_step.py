"""The pure step: the objectives' formulas, padded rows; `test_layouts` has what maps it."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training.conftest import V, tiny_config
from wae_rnf_jax.functional.forward_pass import ObjectiveContext
from wae_rnf_jax.functional.gaussian import gaussian_kl
from wae_rnf_jax.functional.objectives import OBJECTIVES
from wae_rnf_jax.functional.schedules import linear_annealing
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import eval_step, train_step

PAPER = {"mmd_weight": 10.0, "rnf_weight": 1.0, "sharpness": 0.5}
SYSTEMS = {
    "lm": {"name": "lm"},
    "vae": {"name": "vae"},
    "wae_rnf": {"name": "wae_rnf", "mmd_weight": 10.0, "rnf_weight": 1.0},
    "wae_rnf_paper": {"name": "wae_rnf_paper", **PAPER},
    "wae_rnf_fisher": {
        "name": "wae_rnf_pullback",
        "mmd_weight": 10.0,
        "rnf_weight": 1.0,
        "features": "fisher",
    },
}
SYSTEMS["wae_rnf_state"] = {**SYSTEMS["wae_rnf_fisher"], "features": "state"}


def tiny_recipe(system, optimizer=None, rate=0.05):
    """Recipe and first state, with plain gradient descent."""
    config = tiny_config(**SYSTEMS[system])
    if system in ("lm", "vae"):
        config.model.num_flow_steps = config.codebook.num_centers = 0
    if system == "lm":
        config.model.latent_dim = 0
    if system == "wae_rnf_paper":
        config.model.update(flow="planar_paper", initializer="pytorch")
        config.posterior.batch_norm = True
        config.codebook.refresh_every = 0
    recipe = build_recipe(config, V, steps_per_epoch=10, axis_name=None)
    recipe = recipe._replace(
        optimizer=optimizer or optax.identity(), learning_rate=optax.constant_schedule(rate)
    )
    return recipe, initial_state(config, recipe, jax.random.key(3))


def test_padded_rows_have_no_effect(batch, rng):
    recipe, state = tiny_recipe("lm")
    step = jax.jit(partial(train_step, recipe=recipe))
    other = {
        **batch,
        "tokens": batch["tokens"].at[6:].set(9),
        "lengths": batch["lengths"].at[6:].set(4),
    }
    first, metrics = step(state, batch, rng)
    second, other_metrics = step(state, other, rng)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), first.params, second.params)
    assert metrics["num_sentences"] == other_metrics["num_sentences"] == 6
    assert metrics["num_tokens"] == other_metrics["num_tokens"] == 20 + 6


def test_evaluation_sums_count_valid_rows_once(batch, rng):
    recipe, state = tiny_recipe("wae_rnf")
    step = jax.jit(partial(eval_step, recipe=recipe))
    sums, (z0, posterior) = step(state, batch, rng)
    halves = [
        step(state, jax.tree.map(lambda x, s=s: x[s], batch), rng)[0]
        for s in (slice(0, 4), slice(4, 8))
    ]
    for name, value in sums.items():
        np.testing.assert_allclose(halves[0][name] + halves[1][name], value, rtol=1e-5)
    assert z0.shape == (8, 3)
    np.testing.assert_allclose(sums["neg_elbo"], sums["rec"] + sums["kl"], rtol=1e-6)
    valid = batch["where"]
    base = gaussian_kl(posterior.mean[valid], posterior.log_var[valid]).sum()
    np.testing.assert_allclose(sums["kl_base"], base, rtol=1e-5)


def test_training_lowers_the_loss(batch, rng):
    recipe, state = tiny_recipe("wae_rnf", optimizer=optax.scale_by_adam(), rate=0.02)
    step = jax.jit(partial(train_step, recipe=recipe))
    losses = []
    for _ in range(80):
        state, metrics = step(state, batch, rng)
        losses.append(float(metrics["rec"]))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert float(metrics["sd_m"]) > 0
    assert bool(state.codebook.ready)


@pytest.fixture(scope="module")
def objective_inputs(batch):
    """A forward pass of the paper's tiny model, with its context at λ = .3."""
    recipe, state = tiny_recipe("wae_rnf_paper")
    keys = jax.random.split(jax.random.key(1), 8)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    apply = jax.jit(partial(recipe.model.apply, train=False))
    out = apply(variables, batch["tokens"], batch["lengths"], keys, where=batch["where"])
    return out, ObjectiveContext(
        keys=keys,
        where=batch["where"],
        kl_weight=jnp.float32(0.3),
        codebook=state.codebook,
        axis_name=None,
        # Of row 1 it has not full rank, row 3 was not measured.
        pullback_log_magnification=lambda zk, features, **_: (
            zk.sum(-1).at[1].set(-jnp.inf).at[3].set(jnp.nan)
        ),
    )


def test_papers_objective_is_its_formula_switch_for_switch(objective_inputs):
    out, ctx = objective_inputs
    terms = OBJECTIVES["wae_rnf_paper"](out, ctx, **PAPER)
    loss = sum(np.asarray(weight * value) for weight, value in terms.values())
    z0, zk = np.asarray(out.z0, np.float64), np.asarray(out.zk, np.float64)
    mean = np.asarray(out.posterior.mean, np.float64)
    var = np.exp(np.asarray(out.posterior.log_var, np.float64))
    log_2pi = np.log(2 * np.pi)
    log_q0 = -0.5 * (log_2pi + np.log(var) + (z0 - mean) ** 2 / var).sum(-1)
    log_prior = -0.5 * (log_2pi + zk**2).sum(-1)
    centers, regularizer = np.asarray(ctx.codebook.centers, np.float64), 0.0
    for point in np.asarray(out.points[:-1], np.float64):
        squared = ((point[:, None] - centers[None]) ** 2).sum(-1).min(-1)
        constants = [2 * 3 * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
        regularizer = regularizer + 0.5 * np.log(sum(c / (c + squared) for c in constants))
    mmd = float(terms["mmd"][1])
    # The KL part is annealed; log-det and regularizer stand outside λ; the rest of 10 is MMD's.
    expected = (
        np.asarray(out.nll)
        + 0.3 * (log_q0 - log_prior)
        - np.asarray(out.log_dets).sum(0)
        + regularizer
        + (10 - 0.3) * mmd
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_pullback_objective_matches_the_inverse_magnification_at_zk(batch, objective_inputs):
    """((Σ log|det J| + m(zk) − offset)/Z)², the offset the mean; over rows whose m is known."""
    out, ctx = objective_inputs
    terms = OBJECTIVES["wae_rnf_pullback"](
        out, ctx, mmd_weight=10.0, rnf_weight=2.0, features="state"
    )
    where = np.asarray(batch["where"])
    magnification = np.asarray(out.zk, np.float64).sum(-1)
    known = where & (np.arange(8) != 1) & (np.arange(8) != 3)
    total = np.asarray(out.log_dets).sum(0) + magnification
    expected = ((total - total[known].mean()) / 3) ** 2
    weight, value = terms["rnf"]
    assert weight == 2.0
    np.testing.assert_allclose(value, expected[known].mean(), rtol=1e-4, atol=1e-6)
    measured = known.sum() + 1
    np.testing.assert_allclose(terms["degenerate"][1], 1 / measured, rtol=1e-5)
    np.testing.assert_allclose(terms["sd_m"][1], magnification[known].std(), rtol=1e-4)


@pytest.mark.parametrize("features", ["fisher", "state"])
def test_pullback_step_follows_the_metric_and_stays_finite(batch, rng, features):
    recipe, state = tiny_recipe(f"wae_rnf_{features}")
    step = jax.jit(partial(train_step, recipe=recipe))
    for _ in range(3):
        state, metrics = step(state, batch, rng)
    assert float(metrics["sd_m"]) > 0
    assert float(metrics["degenerate"]) == 0
    for leaf in jax.tree.leaves(state.params):
        assert np.isfinite(leaf).all()


def test_attract_and_repel_pull_opposite_ways(objective_inputs):
    """Nearer the centers, `attract` is lower and `repel` higher."""
    out, ctx = objective_inputs
    ctx = ctx._replace(codebook=ctx.codebook._replace(ready=jnp.asarray(True)))
    near = out._replace(points=0 * out.points + ctx.codebook.centers[0][None, None])
    for name, sign in (("wae_rnf_attract", -1), ("wae_rnf_repel", 1)):
        far_term, near_term = (
            OBJECTIVES[name](o, ctx, **PAPER)["rnf"][1].mean() for o in (out, near)
        )
        assert sign * (near_term - far_term) > 0


def test_wae_reads_the_prior_at_zk_and_subtracts_the_log_det(objective_inputs):
    out, ctx = objective_inputs
    terms = OBJECTIVES["wae"](out, ctx, mmd_weight=10.0)
    weight, kl = terms["kl"]
    z0, zk, mean = (np.asarray(x, np.float64) for x in (out.z0, out.zk, out.posterior.mean))
    var = np.exp(np.asarray(out.posterior.log_var, np.float64))
    log_q0 = -0.5 * (np.log(2 * np.pi * var) + (z0 - mean) ** 2 / var).sum(-1)
    log_prior = -0.5 * (np.log(2 * np.pi) + zk**2).sum(-1)
    np.testing.assert_allclose(
        kl, log_q0 - np.asarray(out.log_det) - log_prior, rtol=1e-4, atol=1e-4
    )
    assert float(weight) == pytest.approx(0.3)
    assert float(terms["mmd"][0]) == pytest.approx(9.7)


def test_in_bfloat16_losses_statistics_and_parameters_stay_float32(batch, rng):
    recipe, state = tiny_recipe("wae_rnf_paper")
    recipe = recipe._replace(model=recipe.model.clone(dtype="bfloat16"))
    step = jax.make_jaxpr(partial(train_step, recipe=recipe), return_shape=True)
    program, shapes = step(state, batch, rng)
    floating = [x.dtype for x in jax.tree.leaves(shapes) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert floating
    assert set(floating) == {jnp.dtype(jnp.float32)}
    assert "narrow_matmul" in str(program)
    in_bfloat16 = set(re.findall(r":bf16\[[\d,]*\] = (\w+)", str(program)))
    # No gate, density, log-det, kernel or normalizer is rounded.
    assert not in_bfloat16 & set("exp exp2 log log1p logistic tanh sqrt rsqrt square".split())


def test_annealing_follows_the_state_s_step(batch, rng):
    recipe, state = tiny_recipe("vae")
    recipe = recipe._replace(kl_weight=linear_annealing(start=1, length=4, maximum=0.5))
    step = jax.jit(partial(train_step, recipe=recipe))
    seen = []
    for _ in range(5):
        state, metrics = step(state, batch, rng)
        seen.append(float(metrics["kl_weight"]))
    np.testing.assert_allclose(seen, [0, 0, 0.25, 0.5, 0.5])
