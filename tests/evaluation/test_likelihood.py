import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.likelihood import evaluate_split, per_sentence_likelihood
from wae_rnf_jax.functional.distributions import DiagonalGaussian, StandardNormal
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID

PER_SENTENCE = ("nll_iw", "rec", "kl", "kl_base", "nll_paper")


@pytest.fixture(scope="module")
def reference(tiny, split):
    return per_sentence_likelihood(
        tiny, split, num_samples=13, batch_size=23, memory_limit_rows=23 * 13, num_buckets=1
    )


@pytest.mark.parametrize(
    "layout",
    [
        {"batch_size": 4, "memory_limit_rows": 20, "num_buckets": 2},  # blocks of 5 draws leave 3
        {"batch_size": 16, "memory_limit_rows": 3, "num_buckets": 1},
    ],
)
def test_no_layout_changes_a_metric(tiny, split, reference, layout):
    other = per_sentence_likelihood(tiny, split, num_samples=13, **layout)
    assert other.keys() == reference.keys()
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    for name, values in reference.items():
        jax.tree.map(partial(close, err_msg=name), other[name], values)


def test_averages_are_over_each_sentence_once(tiny, split, reference):
    calls = []
    metrics = evaluate_split(
        tiny,
        split,
        num_samples=13,
        batch_size=4,
        memory_limit_rows=20,
        num_buckets=2,
        progress=lambda *args: calls.append(args),
    )
    assert metrics["num_sentences"] == 23
    assert metrics["num_tokens"] == len(split.tokens) + 23
    assert metrics["num_samples"] == metrics["num_kl_samples"] == 13
    assert calls[-1] == (23, 23)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    for name in PER_SENTENCE:
        assert metrics[name] == pytest.approx(reference[name].mean(), rel=1e-5)
    nll = reference["nll_iw"].astype(np.float64)
    assert metrics["nll_iw_se"] == pytest.approx(nll.std(ddof=1) / math.sqrt(23), rel=1e-5)
    assert metrics["ppl_iw"] == pytest.approx(math.exp(nll.sum() / metrics["num_tokens"]), rel=1e-5)
    assert metrics["neg_elbo"] == pytest.approx(metrics["rec"] + metrics["kl"])
    assert metrics["marginal_kl"] == pytest.approx(metrics["kl"] - metrics["mi"])
    assert metrics["mi"] < metrics["log_num_sentences"] == pytest.approx(math.log(23))
    assert metrics["au"] == np.sum(reference["posterior"].mean.var(axis=0) > 0.01) > 0
    assert "true_nll" not in metrics


def test_seed_changes_the_draws_and_nothing_else(tiny, split, reference):
    other = per_sentence_likelihood(
        tiny,
        split,
        num_samples=13,
        batch_size=23,
        memory_limit_rows=23 * 13,
        num_buckets=1,
        seed=1,
    )
    assert np.all(other["z0"] != reference["z0"])
    assert np.all(other["nll_iw"] != reference["nll_iw"])
    np.testing.assert_array_equal(other["nll_paper"], reference["nll_paper"])


def test_importance_weighting_tightens_the_bound(tiny, split, reference):
    one = per_sentence_likelihood(tiny, split, num_samples=1, batch_size=23, num_buckets=1)
    np.testing.assert_allclose(one["nll_iw"], one["rec"] + one["kl"], rtol=1e-5, atol=1e-5)
    assert np.all(reference["nll_iw"] < reference["rec"] + reference["kl"])
    assert one["nll_iw"].mean() > reference["nll_iw"].mean()


def test_language_model_is_exact_with_one_sample(tiny_language_model, split):
    model = tiny_language_model
    metrics = evaluate_split(model, split, num_samples=50, batch_size=8, num_buckets=1)
    assert metrics["num_samples"] == metrics["num_kl_samples"] == 1
    assert metrics["kl"] == metrics["kl_base"] == metrics["mi"] == metrics["au"] == 0
    assert metrics["marginal_kl"] == 0
    assert metrics["nll_iw"] == metrics["neg_elbo"] == metrics["rec"] == metrics["nll_paper"]
    total = sum(_stepwise_nll(model, split.sentence(i)) for i in (0, 1))
    rows = per_sentence_likelihood(model, split, batch_size=8, num_buckets=1)
    assert rows["nll_iw"][:2].sum() == pytest.approx(total, rel=1e-5)


def _stepwise_nll(model, sentence):
    code = jnp.zeros((1, 0))
    step = jax.jit(model.decode_step)
    carry = jax.jit(lambda z: model.start(z, len(sentence) + 1))(code)
    nll, previous = 0.0, BOS_ID
    for word in [*(int(word) for word in sentence), EOS_ID]:
        carry, logits = step(carry, jnp.array([previous]), code)
        logits = np.asarray(logits[0], np.float64)
        nll += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[word]
        previous = word
    return nll


def test_true_entropy_is_shown_beside_the_model(tiny, split):
    log_probs = -np.linspace(2.0, 6.0, len(split))
    exact = TokenSplit(split.tokens, split.offsets, log_probs)
    metrics = evaluate_split(tiny, exact, num_samples=1, batch_size=23, num_buckets=1)
    assert metrics["true_nll"] == pytest.approx(4.0)
    assert metrics["true_nll_ratio"] == pytest.approx(metrics["nll_iw"] / 4.0)


@pytest.mark.parametrize("name", ["num_samples", "batch_size", "memory_limit_rows"])
def test_sizes_below_one_are_refused(tiny, split, name):
    with pytest.raises(ValueError, match=name):
        evaluate_split(tiny, split, **{name: 0})


def test_empty_split_is_refused(tiny):
    with pytest.raises(ValueError, match="sentences"):
        evaluate_split(tiny, TokenSplit.from_sentences([], vocab_size=8))


@partial(
    jax.tree_util.register_dataclass,
    data_fields=(),
    meta_fields=("scale", "shift", "latent_dim"),
)
@dataclasses.dataclass(frozen=True)
class LinearGaussian:
    """A "sentence" of one word x observed as N(W z, s² I) around its vector; the evidence is known.

    The posterior is exact but for `shift`, and is reached by a flow that scales by `scale`.
    """

    refinement, prior = None, StandardNormal(2)  # class attributes, and no fields
    scale: float
    shift: float
    latent_dim: int = 2

    LOADING = np.array([[1.0, 0.5], [-0.3, 0.8], [0.6, -1.2]])
    NOISE = 0.7

    def observation(self, word):
        return np.array([0.9, -0.4, 0.2]) * (np.asarray(word)[..., None] - 5)

    def posterior(self, x):
        precision = np.eye(2) + self.LOADING.T @ self.LOADING / self.NOISE**2
        covariance = np.linalg.inv(precision)
        return x @ self.LOADING @ covariance / self.NOISE**2, covariance

    def log_evidence(self, words):
        covariance = self.LOADING @ self.LOADING.T + self.NOISE**2 * np.eye(3)
        return multivariate_normal(np.zeros(3), covariance).logpdf(self.observation(words))

    def kl_to_posterior(self):
        """Of the diagonal, shifted Gaussian q(zk|x) to the exact posterior."""
        _, covariance = self.posterior(np.zeros(3))
        diagonal = np.diag(np.diag(covariance))
        precision, shift = np.linalg.inv(covariance), np.full(2, self.shift)
        quadratic = shift @ precision @ shift + np.trace(precision @ diagonal) - 2
        return 0.5 * (quadratic + np.linalg.slogdet(covariance @ np.linalg.inv(diagonal))[1])

    def mutual_information(self):
        """Of four equally frequent words and zk, by a sum over a grid."""
        means, covariance = self.posterior(self.observation(np.arange(4, 8)))
        axis, step = np.linspace(-8, 8, 400, retstep=True)
        points = np.stack(np.meshgrid(axis, axis), axis=-1)
        diagonal = np.diag(np.diag(covariance))
        densities = np.stack([multivariate_normal(m, diagonal).pdf(points) for m in means])
        mixture = densities.mean(axis=0)
        gain = np.log(densities + 1e-300) - np.log(mixture + 1e-300)
        return (densities * gain).sum() * step**2 / len(means)

    def infer(self, tokens, lengths):
        _, covariance = self.posterior(np.zeros(3))
        table, _ = self.posterior(self.observation(np.arange(8)))
        mean = jnp.asarray(table, jnp.float32)[tokens[:, 0]] + self.shift
        log_var = jnp.broadcast_to(jnp.log(jnp.diag(jnp.asarray(covariance))), mean.shape)
        return DiagonalGaussian(mean / self.scale, log_var - 2 * math.log(self.scale))

    def flow_forward(self, z0):
        return self.scale * z0, jnp.full(z0.shape[:-1], 2 * math.log(self.scale))

    def score(self, zk, tokens, lengths):
        x = jnp.asarray(self.observation(np.arange(8)), jnp.float32)[tokens[:, 0]]
        residual = zk @ jnp.asarray(self.LOADING.T, jnp.float32)
        residual = (jnp.broadcast_to(x, residual.shape) - residual) / self.NOISE
        constant = 1.5 * math.log(2 * math.pi * self.NOISE**2)
        return 0.5 * jnp.square(residual).sum(-1) + constant


def linear_gaussian_metrics(model, **settings):
    words = np.tile(np.arange(4, 8), 200)
    return words, evaluate_split(
        model,
        TokenSplit.from_sentences(words[:, None], vocab_size=8),
        **settings,
        batch_size=400,
        memory_limit_rows=40_000,
        num_buckets=1,
    )


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_evidence_of_a_linear_gaussian_model(scale):
    model = LinearGaussian(scale=scale, shift=0.3)
    words, metrics = linear_gaussian_metrics(model, num_samples=256)
    evidence = model.log_evidence(words).mean()
    assert metrics["nll_iw"] == pytest.approx(-evidence, abs=0.01)
    # The bound's gap is the divergence of q to the posterior.
    assert metrics["neg_elbo"] + evidence == pytest.approx(model.kl_to_posterior(), abs=0.015)
    assert model.kl_to_posterior() > 0.3
    # One draw a sentence: the standard error is that of 800 draws, about .03.
    assert metrics["mi"] == pytest.approx(model.mutual_information(), abs=0.1)


def test_few_draws_leave_a_gap_to_the_evidence():
    model = LinearGaussian(scale=0.25, shift=0.3)
    words, few = linear_gaussian_metrics(model, num_samples=2)
    assert -model.log_evidence(words).mean() + 0.05 < few["nll_iw"] < few["neg_elbo"]


@pytest.mark.parametrize("proposal_scale", [0.9, 1.3])
def test_any_proposal_finds_the_evidence(proposal_scale):
    model = LinearGaussian(scale=0.25, shift=0.1)
    _, own = linear_gaussian_metrics(model, num_samples=256)
    words, metrics = linear_gaussian_metrics(model, num_samples=256, proposal_scale=proposal_scale)
    assert metrics["nll_iw"] == pytest.approx(-model.log_evidence(words).mean(), abs=0.01)
    assert metrics["nll_iw"] != own["nll_iw"]
    assert (metrics["num_samples"], metrics["num_kl_samples"]) == (256, 20)
    assert metrics["proposal_scale"] == proposal_scale
    for name in ("rec", "kl"):  # of the posteriors
        assert metrics[name] == pytest.approx(own[name], abs=0.03)
    for name in ("mi", "kl_base", "nll_paper"):
        assert metrics[name] == own[name]


def test_a_wider_proposal_is_tighter_for_narrow_posteriors():
    """Of a shifted posterior draws far from its center have the largest weights."""
    model = LinearGaussian(scale=1.0, shift=0.4)
    bounds = [
        linear_gaussian_metrics(model, num_samples=8, proposal_scale=scale)[1]["nll_iw"]
        for scale in (0.7, 1.0, 1.5)
    ]
    assert bounds[2] + 0.02 < bounds[1] < bounds[0] - 0.1


def test_no_layout_changes_what_a_proposal_finds(tiny, split):
    options = {"num_samples": 24, "proposal_scale": 1.5}
    found = per_sentence_likelihood(tiny, split, **options)
    layout = {"batch_size": 4, "memory_limit_rows": 20, "num_buckets": 2}
    other = per_sentence_likelihood(tiny, split, **options, **layout)
    own = per_sentence_likelihood(tiny, split, num_samples=20)
    for name in PER_SENTENCE:
        np.testing.assert_allclose(found[name], other[name], rtol=1e-5, atol=1e-5)
        same = own if name != "nll_iw" else other
        np.testing.assert_allclose(found[name], same[name], rtol=1e-5, atol=1e-5)


def test_a_language_model_has_no_proposal(tiny_language_model, split):
    metrics = evaluate_split(tiny_language_model, split, proposal_scale=2.0)
    assert metrics == evaluate_split(tiny_language_model, split)
    assert "proposal_scale" not in metrics


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_proposal_without_a_width_is_refused(tiny, split, scale):
    with pytest.raises(InputError, match="proposal_scale must be positive and finite"):
        evaluate_split(tiny, split, num_samples=2, proposal_scale=scale)


def test_keys_follow_the_sentence_and_not_the_process(tiny, split, reference):
    """The first draw is that of fold_in(fold_in(key, index), 0), for any consumer to repeat."""
    for index in (0, 17):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), index), 0)
        noise = jax.random.normal(key, (3,))
        mean, log_var = (x[index] for x in jax.tree.leaves(reference["posterior"]))
        expected = mean + np.exp(0.5 * log_var) * noise
        np.testing.assert_allclose(reference["z0"][index], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("generator", ["rbg", "unsafe_rbg"])
def test_draws_are_the_same_whatever_generator_is_the_default(tiny, split, reference, generator):
    with jax.default_prng_impl(generator):
        assert str(jax.random.key_impl(jax.random.key(0))) == generator
        other = per_sentence_likelihood(
            tiny, split, num_samples=13, batch_size=4, memory_limit_rows=20, num_buckets=2
        )
    np.testing.assert_allclose(other["nll_iw"], reference["nll_iw"], rtol=1e-5, atol=1e-5)
