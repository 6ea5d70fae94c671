import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references_likelihood as references

import wae_rnf_jax as wae

MODEL = references.LinearGaussian.example()
DIM = MODEL.weights.shape[1]
mutual_information = jax.jit(wae.gaussian_mutual_information, static_argnames="block_size")
iw_nll = jax.jit(wae.importance_weighted_nll, static_argnames="axis")


@pytest.fixture(scope="module")
def sentences():
    return MODEL.sample(np.random.default_rng(0), 3_001)


@pytest.fixture(scope="module")
def wrong_posterior(sentences):
    """A posterior that is off in mean and variance, so that the bound is not tight."""
    mean, log_var = MODEL.posterior(sentences)
    return mean + 0.2, log_var + np.array([0.4, -0.3, 0.2])


def draw(rng, mean, log_var, *samples):
    return mean + np.exp(0.5 * log_var) * rng.normal(size=(*samples, *mean.shape))


def log_weights(x, z, mean, log_var):
    prior = references.normal_log_prob(z, np.zeros(DIM), np.zeros(DIM))
    posterior = references.normal_log_prob(z, mean, log_var)
    return MODEL.log_likelihood(x, z) + prior - posterior


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("num_samples", [1, 7])
def test_iw_nll_is_exact_under_the_exact_posterior(sentences, num_samples):
    x = sentences[:20]
    mean, log_var = MODEL.posterior(x)
    z = draw(np.random.default_rng(1), mean, log_var, num_samples)
    nll = iw_nll(jnp.asarray(log_weights(x, z, mean, log_var)))
    np.testing.assert_allclose(nll, -MODEL.log_marginal(x), rtol=1e-10)


def test_iw_nll_falls_from_the_elbo_to_the_likelihood(sentences, wrong_posterior):
    """In the mean over many repetitions, each compared with its own standard error."""
    x, (mean, log_var) = sentences[:1], (part[:1] for part in wrong_posterior)
    z = draw(np.random.default_rng(2), mean, log_var, 64 * 1_000)
    weights = jnp.asarray(log_weights(x, z, mean, log_var), jnp.float32).ravel()
    bounds, errors = {}, {}
    for num_samples in (1, 4, 16, 64):
        nll = np.asarray(iw_nll(weights.reshape(num_samples, -1)))
        bounds[num_samples], errors[num_samples] = nll.mean(), nll.std() / np.sqrt(nll.size)

    exact, elbo = -MODEL.log_marginal(x), MODEL.negative_elbo(x, mean, log_var)[0]
    assert abs(bounds[1] - elbo) < 4 * errors[1]
    assert all(bounds[s] >= exact - 4 * errors[s] for s in bounds)
    for fewer, more in ((1, 4), (4, 16), (16, 64)):
        assert bounds[fewer] - bounds[more] > 4 * errors[fewer]
    assert bounds[64] - exact < 0.1 * (elbo - exact)


def test_iw_nll_of_weights_that_underflow():
    np.testing.assert_allclose(iw_nll(jnp.full((5, 2), -400.0)), 400.0)


def test_iw_nll_takes_any_axis():
    weights = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 4)), jnp.float32)
    for axis in (1, -2):
        np.testing.assert_allclose(iw_nll(weights, axis), iw_nll(jnp.swapaxes(weights, 0, 1)))


def test_iw_nll_of_one_sample_has_a_gradient():
    gradient = jax.jit(jax.grad(lambda w: iw_nll(w).sum()))(jnp.array([[-3.0, 50.0]]))
    np.testing.assert_array_equal(gradient, [[-1.0, -1.0]])


@pytest.mark.parametrize("weights, axis", [(np.ones((0, 2)), 0), (np.ones(3), 1), (np.ones(3), -2)])
def test_iw_nll_rejects_no_samples(weights, axis):
    with pytest.raises(ValueError):
        wae.importance_weighted_nll(jnp.asarray(weights), axis)


def test_mi_is_that_of_the_linear_gaussian_model(sentences):
    """With exact posteriors the aggregate is the prior; in float32, in uneven blocks."""
    mean, log_var = MODEL.posterior(sentences)
    z = draw(np.random.default_rng(4), mean, log_var)
    arrays = (jnp.asarray(array, jnp.float32) for array in (z, mean, log_var))
    mi = mutual_information(*arrays, block_size=256)

    zeros = np.zeros(DIM)
    gains = references.normal_log_prob(z, mean, log_var) - references.normal_log_prob(
        z, zeros, zeros
    )
    assert abs(mi - MODEL.mutual_information()) < 4 * gains.std() / np.sqrt(len(z))
    # Same draws, so that what is left is the error of a mixture of 3,001 in place of the prior.
    np.testing.assert_allclose(mi, gains.mean(), atol=0.03)


@pytest.fixture(scope="module")
def posteriors():
    """40 draws and posteriors of which the variances span e⁻⁴ to e²."""
    rng = np.random.default_rng(5)
    mean, log_var = rng.normal(size=(40, DIM)), rng.uniform(-4, 2, (40, DIM))
    return draw(rng, mean, log_var), mean, log_var


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("block_size", [1, 7, 8, 40, 64])
def test_mi_matches_the_definition_in_any_blocks(posteriors, block_size):
    mi = mutual_information(*map(jnp.asarray, posteriors), block_size=block_size)
    np.testing.assert_allclose(mi, references.mutual_information(*posteriors), rtol=1e-10)


@pytest.mark.usefixtures("x64")
def test_mi_leaves_out_masked_rows_as_draws_and_as_members(posteriors):
    where = np.random.default_rng(6).random(40) < 0.6
    holed = [np.where(where[:, None], array, np.nan) for array in posteriors]
    mi = mutual_information(*map(jnp.asarray, holed), block_size=16, where=jnp.asarray(where))
    expected = references.mutual_information(*(array[where] for array in posteriors))
    np.testing.assert_allclose(mi, expected, rtol=1e-10)


def test_mi_keeps_its_digits_in_float32_when_variances_are_small():
    """Codes of one cluster far from the origin: the expanded square would be off by nats."""
    rng = np.random.default_rng(7)
    mean = 30.0 + np.exp(-5.0) * rng.normal(size=(50, 8))
    posteriors = [np.asarray(mean, np.float32), np.full((50, 8), -10.0, np.float32)]
    z = np.asarray(draw(rng, *posteriors), np.float32)
    mi = mutual_information(*map(jnp.asarray, (z, *posteriors)), block_size=16)
    expected = references.mutual_information(
        *(array.astype(np.float64) for array in (z, *posteriors))
    )
    np.testing.assert_allclose(mi, expected, atol=1e-3)
    assert 1.0 < expected < np.log(50)


def test_mi_is_zero_for_a_collapsed_or_an_empty_code():
    zeros = jnp.zeros((9, 3))
    z = jax.random.normal(jax.random.key(0), (9, 3))
    collapsed = mutual_information(z, zeros, zeros, block_size=4)
    np.testing.assert_allclose(collapsed, 0.0, atol=1e-6)
    empty = jnp.zeros((9, 0))
    assert mutual_information(empty, empty, empty, block_size=4) == 0.0


def test_mi_never_holds_all_pairs():
    """Not [N, N], and not [block, N, Z]."""
    rows, dim, block_size = 60, 8, 16
    shaped = [jax.ShapeDtypeStruct((rows, dim), jnp.float32)] * 3
    function = jax.jit(
        lambda *arrays: wae.gaussian_mutual_information(*arrays, block_size=block_size)
    )
    text = function.lower(*shaped).compile().as_text()
    sizes = [np.prod([int(n) for n in s.split(",")]) for s in re.findall(r"\[([\d,]+)\]", text)]
    assert max(sizes) == block_size * rows


@pytest.mark.parametrize("log_var", [-20.0, 20.0])
def test_mi_and_nll_paper_are_finite_at_extreme_variances(log_var):
    def total(z, mean, log_var):
        mi = wae.gaussian_mutual_information(z, mean, log_var, block_size=4)
        return mi + wae.nll_paper(z.sum(1), z, log_var, mean.sum(1)).sum()

    z, mean = jnp.linspace(-2.0, 2.0, 12).reshape(2, 6, 1)
    value, gradients = jax.jit(jax.value_and_grad(total, (0, 1, 2)))(
        z, mean, jnp.full((6, 1), log_var)
    )
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.usefixtures("x64")
def test_nll_paper_of_the_linear_gaussian_model(sentences, wrong_posterior, flow):
    """−log p(x) + KL(q || p(z|x)) less two terms that it leaves out: it is below the bound.

    With a flow, here zk = scale·z0 + shift, it is that of the Gaussian the flow makes of q.
    """
    x, (mean, log_var) = sentences[:30], (part[:30] for part in wrong_posterior)
    scale, shift = (np.array([0.5, 2.0, 1.5]), 0.3) if flow else (np.ones(DIM), 0.0)
    zk = scale * mean + shift
    rec = -MODEL.log_likelihood(x, zk)
    log_det = np.full(len(x), np.log(scale).sum())
    actual = wae.nll_paper(*map(jnp.asarray, (rec, zk, log_var, log_det)))

    final_log_var = log_var + 2 * np.log(scale)
    bound = MODEL.negative_elbo(x, zk, final_log_var)
    missing = MODEL.reconstruction_slack(final_log_var) + 0.5 * np.exp(final_log_var).sum(-1)
    np.testing.assert_allclose(actual, bound - missing, rtol=1e-10)


def test_nll_paper_of_a_collapsed_posterior_is_short_of_sixteen_nats():
    zeros = jnp.zeros((2, 32))
    nll = wae.nll_paper(jnp.array([100.0, 90.0]), zeros, zeros, jnp.zeros(2))
    np.testing.assert_allclose(nll, [84.0, 74.0], rtol=1e-6)


def test_active_units_counts_variances_above_the_threshold():
    """Standard deviations of .05, .2 and 1: variances of .0025, .04 and 1."""
    means = jnp.array([[-1.0], [1.0]]) * jnp.array([[0.05, 0.2, 1.0]]) + 3.0
    counts = [int(wae.active_units(means, threshold)) for threshold in (0.001, 0.01, 0.1, 2.0)]
    assert counts == [3, 2, 1, 0]
    assert wae.active_units(means).dtype == jnp.int32
    assert wae.active_units(means) == 2
    assert wae.active_units(means[:, :0]) == 0


def test_active_units_leaves_out_masked_rows():
    means = jnp.array([[0.0, 1.0], [0.0, -1.0], [jnp.nan, 5.0]])
    assert wae.active_units(means, where=jnp.array([True, True, False])) == 1
    assert wae.active_units(means, where=jnp.array([True, False, False])) == 0


def test_perplexity_of_a_uniform_model_is_its_vocabulary():
    nll = 25 * np.log(10_002)
    np.testing.assert_allclose(wae.perplexity(jnp.asarray(nll), jnp.array(25)), 10_002, rtol=1e-5)


ROWS = np.ones((4, 2))
MI = wae.gaussian_mutual_information
WRONG = {
    "iw of integers": lambda: wae.importance_weighted_nll(np.ones(3, int)),
    "mi with a block of zero": lambda: MI(ROWS, ROWS, ROWS, block_size=0),
    "mi of no rows": lambda: MI(*[np.ones((0, 2))] * 3, block_size=1),
    "mi of rank 1": lambda: MI(*[np.ones(4)] * 3, block_size=1),
    "mi of different shapes": lambda: MI(ROWS, ROWS, ROWS[:1], block_size=1),
    "mi of integers": lambda: MI(ROWS.astype(int), ROWS, ROWS, block_size=1),
    "mi with where of integers": lambda: MI(ROWS, ROWS, ROWS, block_size=1, where=np.ones(4, int)),
    "mi with where too short": lambda: MI(ROWS, ROWS, ROWS, block_size=1, where=np.ones(3, bool)),
    "active units of rank 1": lambda: wae.active_units(np.ones(4)),
    "active units of integers": lambda: wae.active_units(np.ones((4, 2), int)),
    "active units with where too long": lambda: wae.active_units(ROWS, where=np.ones(5, bool)),
    "nll_paper with rec per dimension": lambda: wae.nll_paper(ROWS, ROWS, ROWS, np.ones(4)),
    "nll_paper of integers": lambda: wae.nll_paper(np.ones(4, int), ROWS, ROWS, np.ones(4)),
    "nll_paper with another log_var": lambda: wae.nll_paper(
        np.ones(4), ROWS, np.ones((4, 3)), np.ones(4)
    ),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_rejected(call):
    with pytest.raises((ValueError, TypeError, AssertionError)):
        call()
