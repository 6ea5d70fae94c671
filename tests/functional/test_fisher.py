"""Drawn words: their distribution, the metric they estimate, and the bias of its determinant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import wae_rnf_jax as wr
from wae_rnf_jax.functional.categorical import _first_to_reach
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.models.features import code_features, fisher_log_magnification_estimate

T, H, Z, V = 5, 6, 3, 300


@pytest.mark.parametrize("num_classes", [3, 127, 128, 129, 700])
def test_draws_have_the_distribution_of_the_logits(num_classes, key):
    logits = 2 * jax.random.normal(key, (2, num_classes))
    logits = logits.at[:, 1].set(-jnp.inf)
    draws = wr.categorical_draws(key, logits, num_draws=100_000)
    assert draws.dtype == jnp.int32
    for row in range(2):
        p = np.asarray(jax.nn.softmax(logits[row]), np.float64)
        counts = np.bincount(np.asarray(draws[row]), minlength=num_classes)
        assert counts[1] == 0
        often = 100_000 * p >= 5
        seen = np.append(counts[often], counts[~often].sum())
        wanted = 100_000 * np.append(p[often], p[~often].sum())
        keep = wanted > 0
        test = stats.chisquare(seen[keep], wanted[keep] * seen.sum() / wanted[keep].sum())
        assert test.pvalue > 1e-4


def test_a_certain_class_is_drawn_always(key):
    logits = jnp.full((3, V), -1e9).at[jnp.arange(3), jnp.array([0, 128, V - 1])].set(5.0)
    draws = wr.categorical_draws(key, logits, num_draws=500)
    np.testing.assert_array_equal(draws, np.repeat([[0], [128], [V - 1]], 500, axis=1))


def test_no_class_of_probability_0_is_found_where_sums_change_by_rounding():
    weights = jnp.array([0.5, 0.0, 0.25, 0.0, 0.0])
    ends = jnp.array([0.5, 0.50001, 0.75, 0.75001, 0.74])
    goal = jnp.array([0.4, 0.500005, 0.7500005, 0.76])
    np.testing.assert_array_equal(_first_to_reach(ends, weights, goal), [0, 2, 2, 2])


def inputs(key):
    keys = jax.random.split(key, 4)
    kernel = jax.random.normal(keys[0], (H, V))
    logits = jnp.matmul(jax.random.normal(keys[1], (T, H)), kernel)
    where = jnp.arange(T) < T - 1
    return jax.random.normal(keys[2], (T, H, Z)), logits, kernel, where


def exact(jacobian, logits, kernel, where):
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    change = np.einsum("hv,thz->tvz", kernel, jacobian)
    centered = change - np.einsum("tv,tvz->tz", p, change)[:, None]
    return np.einsum("t,tv,tvz,tvy->zy", np.asarray(where, float), p, centered, centered)


@pytest.mark.parametrize("num_words", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_the_metric_is_unbiased(num_words, key):
    jacobian, logits, kernel, where = inputs(key)
    estimate = jax.jit(
        jax.vmap(
            lambda key: wr.fisher_metric_estimate(
                key, jacobian, logits, kernel, num_words=num_words, where=where
            )
        )
    )
    found = np.asarray(estimate(jax.random.split(key, 20_000)), np.float64)
    error = found.std(0) / np.sqrt(len(found))
    deviation = (found.mean(0) - exact(jacobian, logits, kernel, where)) / error
    assert np.abs(deviation).max() < 4.5
    np.testing.assert_array_equal(found, found.swapaxes(1, 2))


def test_the_bias_of_a_wishart_determinant(key):
    terms, dim = 40, 5
    x = jax.random.normal(key, (20_000, terms, dim))
    metrics = jnp.einsum("nti,ntj->nij", x, x) / terms
    measured = float(wr.metric_log_magnification(metrics).mean())
    assert measured == pytest.approx(float(wr.wishart_log_bias(terms, dim=dim)), abs=0.01)
    assert float(wr.wishart_log_bias(1e6, dim=dim)) == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_a_models_magnification_is_the_exact_one_on_average(tied, key):
    """Over many draws, on small models, with and without a projection before the output."""
    model = TextAutoencoder(
        vocab_size=40, embedding_dim=5, hidden_dim=8, latent_dim=Z, tied_output=tied
    )
    tokens, length = jnp.array([[4, 9, 30, 11, 5, 0, 0]]), jnp.array([5])
    variables = model.init(
        key, tokens, length, jax.random.split(key, 1), where=jnp.ones(1, bool), train=False
    )
    # Away from the start, where all words are alike.
    variables = jax.tree.map(lambda x: 3 * x + 0.1, variables)
    bound, z = BoundModel(model, variables), jnp.array([0.3, -0.5, 1.0])
    expected = wr.pullback_log_magnification(
        lambda z: code_features(bound, z, tokens, length, features="fisher"), z
    )

    def mean(num_words):
        estimate = jax.jit(
            jax.vmap(
                lambda key: fisher_log_magnification_estimate(
                    key, bound, z, tokens[0], length[0], num_words=num_words
                )
            )
        )
        found = np.asarray(estimate(jax.random.split(key, 200)))
        assert np.isfinite(found).all()
        return found.mean(), found.std()

    (few, spread), (many, narrow) = mean(8), mean(64)
    assert abs(many - float(expected)) < 0.02
    assert abs(few - float(expected)) < 0.15
    assert narrow < spread / 2


def test_wrong_arguments_are_refused(key):
    jacobian, logits, kernel, _ = inputs(key)
    with pytest.raises(ValueError, match="num_draws must be at least 1"):
        wr.categorical_draws(key, logits, num_draws=0)
    with pytest.raises(AssertionError):
        wr.fisher_metric_estimate(key, jacobian, logits, kernel[:-1], num_words=1)
    with pytest.raises(AssertionError):
        wr.categorical_draws(key, jnp.zeros(3, int), num_draws=1)
