"""Refined posteriors: the gradient through the steps, what they cost, and where they are used."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import wae_rnf_jax as wr
from tests.training.conftest import eval_step, resumed_alike, tiny_config, train_step
from wae_rnf_jax.choices import Choice
from wae_rnf_jax.evaluation.likelihood import evaluate_split
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.functional.sequences import example_keys
from wae_rnf_jax.models.refinement import Refinement
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.training import loop
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.state import build_recipe, initial_state


def recipe_and_state(num_steps, evaluation_steps=0, objective="vae", **model):
    weights = {"mmd_weight": 10.0, "rnf_weight": 1.0} if objective == "wae_rnf" else {}
    config = tiny_config(name=objective, **weights)
    with config.unlocked():
        steps = {"num_steps": num_steps, "evaluation_steps": evaluation_steps, "rate": 0.1}
        config.procedure = type(config)({"name": "semi_amortized", **steps})
    if objective == "vae":
        config.model.num_flow_steps = config.codebook.num_centers = 0
    config.model.update(model)
    check_config(config)
    recipe = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    return recipe, initial_state(config, recipe, jax.random.key(0))


@pytest.mark.parametrize("objective", [pytest.param("vae", marks=pytest.mark.slow), "wae_rnf"])
def test_the_gradient_through_the_steps_is_that_of_finite_differences(objective, batch, rng, x64):
    with jax.enable_x64(False):
        recipe, state = recipe_and_state(3, objective=objective)
    params = jax.tree.map(lambda x: x.astype(jnp.float64), state.params)
    keys = example_keys(rng, batch["index"])
    model, refinement = recipe.model.clone(dtype="float64"), recipe.procedure.refinement

    @jax.jit
    def bound(params):
        variables = {"params": params}
        sentences = batch["tokens"], batch["lengths"]
        posterior = model.apply(variables, *sentences, method="infer")
        posterior = refinement.refined(
            model, variables, posterior, *sentences, keys=keys, kl_weight=0.7, train=True
        )
        options = {"where": batch["where"], "train": True}
        out = model.apply(variables, posterior, *sentences, keys, **options, method="decoded")
        return jnp.where(batch["where"], out.nll + 0.7 * out.posterior.kl(), 0).mean()

    check_grads(bound, (params,), order=1, modes=("rev",), eps=1e-5, rtol=1e-4, atol=1e-6)


def test_without_steps_it_is_descent(batch, rng):
    refined, state = recipe_and_state(0)
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    plain = build_recipe(config, 13, steps_per_epoch=5, axis_name=None)
    results = [train_step(state, batch, rng, recipe=recipe) for recipe in (refined, plain)]
    chex.assert_trees_all_equal(*results)
    sums = [eval_step(state, batch, rng, recipe=recipe)[0] for recipe in (refined, plain)]
    chex.assert_trees_all_equal(*sums)


def test_the_steps_are_on_the_decoder_whose_weights_are_dropped(batch, rng):
    recipe, state = recipe_and_state(2)
    decoder = {"name": "lstm", **dict(recipe.model.decoder_choice.arguments)}
    decoder["recurrent_dropout"] = 0.5
    model = recipe.model.clone(decoder_choice=Choice.of(decoder))
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    sentences = batch["tokens"], batch["lengths"]
    posterior = model.apply(variables, *sentences, method="infer")
    keys = example_keys(rng, batch["index"])
    means = [
        recipe.procedure.refinement.refined(
            model, variables, posterior, *sentences, keys=keys, train=True, weights_key=weights
        ).mean
        for weights in (rng, rng, jax.random.fold_in(rng, 1))
    ]
    np.testing.assert_array_equal(means[0], means[1])
    assert np.abs(means[0] - means[2]).max() > 1e-6


def test_the_objective_is_read_at_refined_posteriors(batch, rng):
    """In training with its steps, in evaluation with its own; noise and dropout are the pass's."""
    values = {}
    for steps in (0, 1, 8):
        recipe, state = recipe_and_state(steps, 2 * steps, dropout=0.3)
        recipe = recipe._replace(kl_weight=lambda step: 1.0)
        training = train_step(state, batch, rng, recipe=recipe)[1]
        evaluated = eval_step(state, batch, rng, recipe=recipe)[0]
        values[steps] = float(training["loss"]), float(evaluated["neg_elbo"])
    assert values[8][0] < values[1][0] < values[0][0]
    assert values[8][1] < values[1][1] < values[0][1]


class RefinedPosteriorTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True)
    def test_steps_find_the_posterior_of_a_conjugate_model(self):
        """Of p(z) = N(0, I), p(x|z) = N(z, I) it is N(x/2, I/2), whatever the start."""
        x = jnp.array([[2.0, -1.0], [0.0, 3.0]])

        def bound(posterior, step):
            spread = jnp.square(x - posterior.mean) + jnp.exp(posterior.log_var)
            return 0.5 * spread.sum(-1) + posterior.kl()

        refine = partial(
            wr.refined_posterior, bound, num_steps=200, rate=0.1, momentum=0.5, max_norm=5.0
        )
        start = wr.DiagonalGaussian(jnp.full((2, 2), 4.0), jnp.full((2, 2), -3.0))
        found = self.variant(lambda start: refine(start))(start)
        np.testing.assert_allclose(found.mean, x / 2, atol=1e-5)
        np.testing.assert_allclose(found.log_var, jnp.full((2, 2), jnp.log(0.5)), atol=1e-5)


def test_long_gradients_are_clipped_by_sentence_and_apart():
    slopes = jnp.array([[30.0, 40.0], [0.3, 0.4]])

    def bound(posterior, step):
        return (slopes * (posterior.mean + 0.01 * posterior.log_var)).sum(-1)

    start = wr.DiagonalGaussian(jnp.zeros((2, 2)), jnp.zeros((2, 2)))
    found = wr.refined_posterior(bound, start, num_steps=1, rate=1.0, momentum=0.0, max_norm=5.0)
    np.testing.assert_allclose(found.mean, [[-3.0, -4.0], [-0.3, -0.4]], rtol=1e-6)
    np.testing.assert_allclose(found.log_var, -0.01 * slopes, rtol=1e-6)


def test_momentum_takes_a_share_of_the_last_step_again():
    def bound(posterior, step):
        return posterior.mean.sum(-1) * (step == 0)

    start = wr.DiagonalGaussian(jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    steps = {
        n: float(
            wr.refined_posterior(
                bound, start, num_steps=n, rate=1.0, momentum=0.5, max_norm=9.0
            ).mean[0, 0]
        )
        for n in (0, 1, 2, 3)
    }
    assert steps == {0: 0.0, 1: -1.0, 2: -1.5, 3: -1.75}


@pytest.mark.parametrize(
    "wrong", [{"num_steps": -1}, {"rate": 0.0}, {"momentum": 1.0}, {"max_norm": float("nan")}]
)
def test_settings_that_are_none_are_refused(wrong):
    settings = {"num_steps": 1, "rate": 1.0, "momentum": 0.0, "max_norm": 1.0, **wrong}
    start = wr.DiagonalGaussian(jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    with pytest.raises(ValueError, match="refined_posterior: num_steps"):
        wr.refined_posterior(lambda posterior, step: posterior.kl(), start, **settings)
    settings.update(num_steps=1, rate=1.0, momentum=0.0, max_norm=1.0)
    sphere = wr.VonMisesFisher(jnp.ones((1, 1)), jnp.ones(1))
    with pytest.raises(AssertionError, match="DiagonalGaussian"):
        wr.refined_posterior(lambda posterior, step: posterior.kl(), sphere, **settings)


def test_no_step_shares_a_key_with_a_scoring_draw(monkeypatch):
    """Else the posterior would be fitted to the very draws that it is judged by."""
    seen = []
    sample = wr.DiagonalGaussian.sample

    def noted(posterior, keys):
        jax.debug.callback(lambda data: seen.append(np.asarray(data)), jax.random.key_data(keys))
        return sample(posterior, keys)

    recipe, state = recipe_and_state(2, 2)
    variables = {"params": state.params}
    tokens, lengths = jnp.array([[4, 5], [6, 0]]), jnp.array([2, 1])
    posterior = recipe.model.apply(variables, tokens, lengths, method="infer")
    monkeypatch.setattr(wr.DiagonalGaussian, "sample", noted)
    for seed in (0, 7):
        keys = example_keys(random_key(seed), jnp.arange(2))
        for train in (True, False):
            recipe.procedure.refinement.refined(
                recipe.model, variables, posterior, tokens, lengths, keys=keys, train=train
            )
    jax.effects_barrier()
    steps = {tuple(row) for keys in seen for row in keys.reshape(-1, 2).tolist()}
    draws = set()
    for seed in (0, 7):
        keys = example_keys(random_key(seed), jnp.arange(200))
        splits = jax.vmap(lambda key: jax.random.split(key, 5))(keys).reshape(-1)
        folds = jax.vmap(lambda key: jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(50)))(
            keys
        ).reshape(-1)
        for found in (keys, splits, folds):
            draws |= {tuple(row) for row in np.asarray(jax.random.key_data(found)).tolist()}
    assert len(steps) >= 6
    assert not steps & draws


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small model, trained until its code tells something."""
    folder = tmp_path_factory.mktemp("semi_amortized")
    rng = np.random.default_rng(0)
    for name, count in (("train", 200), ("valid", 40), ("test", 20)):
        rows = [" ".join([letter] * 3) for letter in rng.choice([*"abcdefgh"], count)]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    config = tiny_config(name="vae")
    config.model.num_flow_steps = config.codebook.num_centers = 0
    config.data.update(source="text", path=str(folder), cache_dir=str(folder / "cache"))
    config.kl_weight.update(start=0, length=2_000, maximum=0.1)
    config.train.update(num_epochs=4, learning_rate=0.02, log_every=50, select="last")
    with config.unlocked():
        steps = {"num_steps": 2, "evaluation_steps": 4, "rate": 0.05}
        config.procedure = type(config)({"name": "semi_amortized", **steps})
    check_config(config)
    loop.train(config, folder / "run")
    return load_trained_model(folder / "run")


@pytest.mark.slow
def test_more_steps_do_not_raise_the_bound_of_a_trained_model(trained):
    assert trained.model.refinement == Refinement(2, 4, 0.05, 0.5, 28.0)
    bounds, samples = [], 40
    for steps in (0, 4, 16):
        refinement = trained.model.refinement._replace(evaluation_steps=steps)
        model = type(trained.model)(trained.model.module, trained.model.variables, refinement)
        metrics = evaluate_split(model, trained.corpus.valid, num_samples=samples)
        assert metrics["refinement_steps"] == steps
        bounds.append(metrics["neg_elbo"])
        assert metrics["nll_iw"] <= metrics["neg_elbo"]
    own = metrics["neg_elbo_encoder"]
    assert own == pytest.approx(bounds[0], abs=1e-4)  # the same draws, of the encoder's posteriors
    assert bounds[1] < bounds[0] + 0.01
    assert bounds[2] < bounds[1] + 0.01
    assert bounds[2] < bounds[0] - 0.01


def test_a_sentence_has_one_code_whatever_stands_beside_it(trained):
    tokens, lengths = jnp.array([[4, 5, 6], [7, 8, 9]]), jnp.array([3, 3])
    both = trained.model.infer(tokens, lengths)
    alone = trained.model.infer(tokens[1:], lengths[1:])
    np.testing.assert_allclose(both.mean[1:], alone.mean, atol=1e-5)
    own = trained.model.unrefined().infer(tokens, lengths)
    assert float(jnp.abs(own.mean - both.mean).max()) > 1e-3


@pytest.mark.slow
def test_it_resumes_bit_for_bit(config, tmp_path, monkeypatch):
    with config.unlocked():
        steps = {"num_steps": 2, "evaluation_steps": 2}
        config.procedure = type(config)({"name": "semi_amortized", **steps})
    check_config(config)
    config.model.dropout = 0.2
    config.train.update(num_epochs=1, select="last")
    resumed_alike(config, tmp_path, monkeypatch, stop=2)
