"""Every metric of a model with von Mises–Fisher posteriors, against numerical integration.

The toy decoder predicts one word from the code alone, so that p(x) is an integral over the circle
or the sphere, which quadrature gives.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.likelihood import evaluate_split
from wae_rnf_jax.functional.distributions import UniformSphere, VonMisesFisher

WORDS = np.arange(4, 8)
CONCENTRATION = 1.5  # wide enough for importance weights that 100 draws average
ROUNDS = 300  # each word so often: 1,200 sentences


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=("latent_dim",))
@dataclasses.dataclass(frozen=True)
class OneWord:
    """p(x|z) = softmax(W z)_x for a sentence of the one word x; q(z|x) = vMF(direction of x, κ)."""

    latent_dim: int
    refinement = None  # a class attribute, and no field

    @property
    def prior(self):
        return UniformSphere(self.latent_dim)

    @property
    def weights(self):
        return np.random.default_rng(1).normal(0, 1.5, (len(WORDS), self.latent_dim))

    @property
    def directions(self):
        weights = self.weights - self.weights.mean(0)
        return weights / np.linalg.norm(weights, axis=1, keepdims=True)

    def infer(self, tokens, lengths):
        mean = jnp.asarray(self.directions, jnp.float32)[tokens[:, 0] - WORDS[0]]
        return VonMisesFisher(mean, jnp.full_like(mean[:, 0], CONCENTRATION))

    def flow_forward(self, z0):
        return z0, jnp.zeros(z0.shape[:-1])

    def score(self, zk, tokens, lengths):
        log_probs = jax.nn.log_softmax(zk @ jnp.asarray(self.weights.T, jnp.float32))
        word = jnp.broadcast_to(tokens[:, 0] - WORDS[0], zk.shape[:-1])
        return -jnp.take_along_axis(log_probs, word[..., None], -1)[..., 0]


def quadrature(dim):
    """Points [P, Z] of the circle or the sphere, and their shares [P] of its surface."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    if dim == 2:
        points = np.stack([np.cos(angle), np.sin(angle)], -1)
        return points, np.full(len(points), 1 / len(points))
    height, weight = np.polynomial.legendre.leggauss(200)
    height, around = np.meshgrid(height, angle, indexing="ij")
    radius = np.sqrt(1 - height**2)
    points = np.stack([radius * np.cos(around), radius * np.sin(around), height], -1)
    shares = np.broadcast_to(weight[:, None] / 2 / len(angle), height.shape)
    return points.reshape(-1, 3), shares.ravel()


def exact_metrics(model):
    """Means over the four words, equally frequent, in nats."""
    points, shares = quadrature(model.latent_dim)
    log_likelihood = log_softmax(points @ model.weights.T, axis=-1)  # [P, 4]
    density = np.exp(CONCENTRATION * (points @ model.directions.T - 1))
    density /= shares @ density  # to the uniform distribution, so that its logarithm averages to KL
    mixture = density.mean(1, keepdims=True)
    log_density, log_mixture = np.log(density), np.log(mixture)
    return {
        "log_evidence": np.log(shares @ np.exp(log_likelihood)).mean(),
        "kl": (shares @ (density * log_density)).mean(),
        "rec": -(shares @ (density * log_likelihood)).mean(),
        "mi": (shares @ (density * (log_density - log_mixture))).mean(),
    }


@pytest.fixture(scope="module")
def split():
    sentences = [[int(word)] for word in np.tile(WORDS, ROUNDS)]
    return TokenSplit.from_sentences(sentences, vocab_size=8)


@pytest.mark.parametrize("dim", [2, 3])
def test_metrics_are_the_integrals(dim, split):
    model = OneWord(dim)
    exact = exact_metrics(model)
    options = {"batch_size": 400, "memory_limit_rows": 40_000, "num_buckets": 1}
    metrics = evaluate_split(model, split, num_samples=100, **options)
    # Monte Carlo over 1,200 × 100 draws; mi over 1,200.
    assert metrics["nll_iw"] == pytest.approx(-exact["log_evidence"], abs=5e-3)
    assert metrics["kl"] == pytest.approx(exact["kl"], abs=5e-3)
    assert metrics["rec"] == pytest.approx(exact["rec"], abs=5e-3)
    assert metrics["mi"] == pytest.approx(exact["mi"], abs=0.05)
    assert metrics["neg_elbo"] == pytest.approx(exact["kl"] + exact["rec"], abs=1e-2)
    bound = exact["kl"] + exact["rec"]
    assert bound > -exact["log_evidence"] + 0.015  # the posteriors are not the exact ones
    one = evaluate_split(model, split, num_samples=1, **options)
    assert one["nll_iw"] == pytest.approx(bound, abs=0.06)
    assert metrics["nll_iw"] < bound - 0.01


def test_what_is_of_gaussians_alone_is_left_out(split):
    metrics = evaluate_split(OneWord(3), split, num_samples=1, batch_size=400, num_buckets=1)
    assert not {"kl_base", "nll_paper"} & metrics.keys()
    assert metrics["au"] == 3


def test_active_units_are_counted_against_the_spheres_own_variance(split):
    """Of dimension 32 the variance of all directions is 1/32: .01 would count too few."""
    rest = np.linalg.qr(np.random.default_rng(0).normal(size=(31, 4)))[0].T

    class Narrow(OneWord):
        directions = np.concatenate([np.ones((4, 1)), rest], axis=1) * np.sqrt(0.5)

    jax.tree_util.register_dataclass(Narrow, data_fields=(), meta_fields=("latent_dim",))
    model = Narrow(32)
    expected = (model.directions.var(0) > 0.01 / 32).sum()
    assert expected > (model.directions.var(0) > 0.01).sum()
    metrics = evaluate_split(model, split, num_samples=1, batch_size=400, num_buckets=1)
    assert metrics["au"] == expected


def test_a_draw_is_not_moved_off_the_sphere():
    split = TokenSplit.from_sentences(WORDS[:, None], vocab_size=8)
    with pytest.raises(InputError, match=r"must be 1 for codes on a sphere, got 1.2"):
        evaluate_split(OneWord(3), split, num_samples=2, proposal_scale=1.2)
