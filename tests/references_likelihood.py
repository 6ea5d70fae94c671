"""NumPy and SciPy float64 oracles for losses and estimators, written from the definitions.

`LinearGaussian` is the model whose likelihood, posterior and mutual information are known exactly.
"""

from typing import NamedTuple

import numpy as np
from scipy import special, stats
from scipy.spatial import distance

IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class LinearGaussian(NamedTuple):
    """x = weights·z + offset + noise·ε with z, ε standard normal; weights' columns orthogonal.

    Orthogonal columns make the exact posterior a diagonal Gaussian.
    """

    weights: np.ndarray  # [X, Z]
    offset: np.ndarray  # [X]
    noise: float

    @classmethod
    def example(cls):
        directions, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 3)))
        return cls(directions * np.array([1.5, 0.8, 0.3]), np.linspace(-1, 1, 5), 0.5)

    def sample(self, rng, count):
        z = rng.normal(size=(count, self.weights.shape[1]))
        return self.mean_of(z) + self.noise * rng.normal(size=(count, self.offset.size))

    def mean_of(self, z):
        return z @ self.weights.T + self.offset

    def log_likelihood(self, x, z):
        return stats.norm.logpdf(x, self.mean_of(z), self.noise).sum(-1)

    def log_marginal(self, x):
        covariance = self.weights @ self.weights.T + self.noise**2 * np.eye(self.offset.size)
        return stats.multivariate_normal(self.offset, covariance).logpdf(x)

    def posterior(self, x):
        """Mean and log-variance [N, Z] of p(z|x)."""
        precision = 1.0 + np.diag(self.weights.T @ self.weights) / self.noise**2
        mean = (x - self.offset) @ self.weights / self.noise**2 / precision
        return mean, np.broadcast_to(-np.log(precision), mean.shape)

    def negative_elbo(self, x, mean, log_var):
        """−log p(x) + KL(q || p(z|x)), in closed form."""
        return -self.log_marginal(x) + gaussian_divergence(mean, log_var, *self.posterior(x))

    def mutual_information(self):
        singular_values = np.linalg.svd(self.weights, compute_uv=False)
        return 0.5 * np.log1p(singular_values**2 / self.noise**2).sum()

    def reconstruction_slack(self, log_var):
        """E over q of the reconstruction term, less the term at q's mean."""
        gram = np.diag(self.weights.T @ self.weights)
        return 0.5 * (gram * np.exp(log_var)).sum(-1) / self.noise**2


def normal_log_prob(z, mean, log_var):
    return stats.norm.logpdf(z, mean, np.exp(0.5 * log_var)).sum(-1)


def gaussian_divergence(mean, log_var, other_mean, other_log_var):
    """KL of one diagonal Gaussian from another."""
    ratio = np.exp(log_var - other_log_var)
    shift = (mean - other_mean) ** 2 / np.exp(other_log_var)
    return 0.5 * (ratio + shift - 1.0 - (log_var - other_log_var)).sum(-1)


def mutual_information(z, mean, log_var):
    """All N² log-densities at once."""
    pairs = normal_log_prob(z[:, None], mean[None], log_var[None])
    aggregate = special.logsumexp(pairs, axis=1) - np.log(len(z))
    return np.mean(np.diag(pairs) - aggregate)


def linear_cross_entropy(hidden, kernel, bias, targets, cotangent):
    """NLL of each row, and the gradients of Σ cotangent·nll in hidden, kernel and bias."""
    log_probs = special.log_softmax(hidden @ kernel + bias, axis=-1)
    rows = np.arange(len(targets))
    error = np.exp(log_probs)
    error[rows, targets] -= 1.0
    error *= cotangent[:, None]
    return -log_probs[rows, targets], (error @ kernel.T, hidden.T @ error, error.sum(0))


def nearest_squared_distances(points, centers):
    """[K, B] for points [K, B, Z]."""
    return np.stack([distance.cdist(step, centers, "sqeuclidean").min(1) for step in points])


def attract(points, centers, sharpness):
    squared = nearest_squared_distances(points, centers)
    return -np.log(1.0 + np.exp(-sharpness * squared)).sum(0)


def repel(points, centers, sharpness):
    squared = nearest_squared_distances(points, centers)
    constants = 2.0 * points.shape[-1] * np.array(IMQ_SCALES)
    kernels = constants / (constants + squared[..., None])
    return sharpness * np.log(kernels.sum(-1)).sum(0)
