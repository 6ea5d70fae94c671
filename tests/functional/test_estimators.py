import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references_likelihood as references
from scipy import special, stats

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


def directions(seed, *shape):
    rows = np.random.default_rng(seed).normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def posterior_of(kind, dtype=np.float64):
    """[12, 3] draws and posteriors that overlap."""
    rng = np.random.default_rng(8)
    z, leaves = directions(9, 12, DIM), (directions(10, 12, DIM), rng.uniform(0.5, 9.0, 12))
    if kind == "gaussian":
        leaves = rng.normal(size=(12, DIM)), rng.uniform(-2, 1, (12, DIM))
    family = wae.DiagonalGaussian if kind == "gaussian" else wae.VonMisesFisher
    return jnp.asarray(z, dtype), family(*(jnp.asarray(leaf, dtype) for leaf in leaves))


def mi_by_scipy(z, posterior, kind):
    """All N² log-densities by SciPy, one posterior at a time."""
    first, second = map(np.asarray, jax.tree.leaves(posterior))
    if kind == "gaussian":
        return references.mutual_information(np.asarray(z), first, second)
    families = [stats.vonmises_fisher(m, k) for m, k in zip(first, second, strict=True)]
    pairs = np.stack([family.logpdf(np.asarray(z)) for family in families], 1)
    aggregate = special.logsumexp(pairs, axis=1) - np.log(len(pairs))
    return np.mean(np.diag(pairs) - aggregate)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("block_size", [1, 5, 12, 20])
@pytest.mark.parametrize("kind", ["gaussian", "vmf"])
def test_mi_of_any_posterior_is_scipys_in_any_blocks(kind, block_size):
    z, posterior = posterior_of(kind)
    mi = jax.jit(partial(wae.mutual_information, block_size=block_size))(z, posterior)
    np.testing.assert_allclose(mi, mi_by_scipy(z, posterior, kind), rtol=1e-10)


def test_mi_of_directions_is_the_integral_over_the_circle():
    """Four posteriors, each shared by 300 sentences: the aggregate is their mixture exactly."""
    angles, concentrations = np.array([0.2, 1.0, 2.5, 4.5]), np.array([1.0, 4.0, 12.0, 40.0])
    grid = np.linspace(0.0, 2 * np.pi, 512, endpoint=False)
    densities = stats.vonmises.pdf(grid[:, None], concentrations, loc=angles)
    terms = densities * np.log(densities / densities.mean(1, keepdims=True))
    expected = terms.mean() * 2 * np.pi

    angles, concentrations = np.tile(angles, 300), np.tile(concentrations, 300)
    rng = np.random.default_rng(11)
    drawn = stats.vonmises.rvs(concentrations, loc=angles, random_state=rng)
    z, means = (np.stack([np.cos(a), np.sin(a)], 1) for a in (drawn, angles))
    z, *leaves = (jnp.asarray(array, jnp.float32) for array in (z, means, concentrations))
    mi = jax.jit(partial(wae.mutual_information, block_size=256))(z, wae.VonMisesFisher(*leaves))
    mixture = stats.vonmises.pdf(drawn[:, None], concentrations[:4], loc=angles[:4]).mean(1)
    gains = stats.vonmises.logpdf(drawn, concentrations, loc=angles) - np.log(mixture)
    np.testing.assert_allclose(mi, gains.mean(), atol=1e-5)
    assert abs(mi - expected) < 4 * gains.std() / np.sqrt(len(gains)) < 0.15
    assert 0.5 < expected < np.log(4)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["gaussian", "vmf"])
def test_masked_rows_of_any_posterior_change_neither_mi_nor_its_gradient(kind):
    full = posterior_of(kind)
    where = np.arange(12) % 3 != 1

    def masked(leaf):
        return jnp.where(jnp.reshape(where, (12, *[1] * (leaf.ndim - 1))), leaf, jnp.nan)

    value_and_gradient = jax.value_and_grad(wae.mutual_information, (0, 1))
    found = jax.jit(partial(value_and_gradient, block_size=5, where=jnp.asarray(where)))
    mi, gradients = found(*jax.tree.map(masked, full))
    kept = jax.tree.map(lambda leaf: leaf[where], full)
    expected, slopes = jax.jit(partial(value_and_gradient, block_size=5))(*kept)
    np.testing.assert_allclose(mi, expected, rtol=1e-12)
    for actual, desired in zip(*map(jax.tree.leaves, (gradients, slopes)), strict=True):
        np.testing.assert_allclose(actual[where], desired, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(actual[~where], 0.0)
        assert np.abs(desired).max() > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("x64")
def test_mi_of_directions_apart_is_log_n_and_never_more(dtype):
    means = jnp.concatenate([jnp.eye(4, dtype=dtype), -jnp.eye(4, dtype=dtype)])
    mi = jax.jit(partial(wae.mutual_information, block_size=3))
    values = [mi(means, wae.VonMisesFisher(means, jnp.full([8], k, dtype))) for k in (3, 9, 90)]
    assert {value.dtype for value in values} == {np.dtype(dtype)}
    assert 0.5 < values[0] < values[1] < values[2]
    np.testing.assert_allclose(values[2], np.log(8), rtol=1e-6)
    alone = jax.tree.map(lambda leaf: leaf[:1], wae.VonMisesFisher(means, jnp.full([8], 9, dtype)))
    np.testing.assert_allclose(mi(means[:1], alone), 0.0, atol=1e-6)


def test_mi_of_no_row_that_counts_is_not_a_number():
    z, posterior = posterior_of("vmf", np.float32)
    assert jnp.isnan(wae.mutual_information(z, posterior, block_size=4, where=jnp.zeros(12, bool)))


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
    assert wae.active_units(means, where=jnp.array([True, False, False])) == -1


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
    "mi of codes of other posteriors": lambda: wae.mutual_information(
        ROWS, wae.DiagonalGaussian(ROWS[:3], ROWS[:3]), block_size=1
    ),
    "mi of posteriors of wrong rank": lambda: wae.mutual_information(
        ROWS, wae.DiagonalGaussian(ROWS[0], ROWS[0]), block_size=1
    ),
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
    with pytest.raises((ValueError, AssertionError)):
        call()
