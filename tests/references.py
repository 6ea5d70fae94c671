"""NumPy and SciPy float64 oracles, written from the definitions and not from the library's code."""

import itertools

import numpy as np
from scipy import optimize, stats
from scipy.special import log1p

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def softplus(x):
    return np.maximum(x, 0.0) + log1p(np.exp(-np.abs(x)))


def softplus_inverse(y):
    """The x with softplus(x) = y > 0."""
    return y + np.log(-np.expm1(-y))


# Gaussians, one row at a time.


def gaussian_log_prob(z, mean, log_var):
    rows = zip(z, mean, np.exp(log_var), strict=True)
    return np.array([stats.multivariate_normal(m, np.diag(v)).logpdf(x) for x, m, v in rows])


def gaussian_entropy(log_var):
    covariances = [np.diag(np.exp(row)) for row in log_var]
    means = np.zeros_like(log_var)
    pairs = zip(means, covariances, strict=True)
    return np.array([stats.multivariate_normal(m, c).entropy() for m, c in pairs])


def gaussian_kl(mean, log_var):
    """½(tr Σ + μᵀμ - Z - log|Σ|), with matrices."""
    terms = []
    for m, row in zip(mean, log_var, strict=True):
        covariance = np.diag(np.exp(row))
        log_determinant = np.linalg.slogdet(covariance)[1]
        terms.append(0.5 * (np.trace(covariance) + m @ m - m.size - log_determinant))
    return np.array(terms)


# Flows of one point: the map, and the log-det from the explicit Jacobian matrix.


def planar_direction(u, w):
    projection = w @ u
    return u + (-1 + softplus(projection) - projection) * w / (w @ w)


def planar_forward(params, z):
    direction = planar_direction(params["u"], params["w"])
    t = np.tanh(params["w"] @ z + params["b"])
    jacobian = np.eye(z.size) + np.outer(direction, (1 - t**2) * params["w"])
    return z + direction * t, np.linalg.slogdet(jacobian)[1]


def planar_inverse(params, y):
    direction = planar_direction(params["u"], params["w"])
    slope = params["w"] @ direction
    target = params["w"] @ y + params["b"]
    margin = abs(slope) + 1
    root = optimize.brentq(
        lambda a: a + slope * np.tanh(a) - target, target - margin, target + margin, xtol=1e-14
    )
    return y - direction * np.tanh(root)


def radial_forward(params, z):
    alpha = softplus(params["alpha_raw"])
    beta = -alpha + softplus(params["beta_raw"])
    offset = z - params["reference"]
    radius = np.linalg.norm(offset)
    h = 1 / (alpha + radius)
    jacobian = (1 + beta * h) * np.eye(z.size) - beta * h**2 * np.outer(offset, offset) / radius
    return z + beta * h * offset, np.linalg.slogdet(jacobian)[1]


def radial_inverse(params, y):
    alpha = softplus(params["alpha_raw"])
    beta = -alpha + softplus(params["beta_raw"])
    offset = y - params["reference"]
    distance = np.linalg.norm(offset)
    radius = optimize.brentq(
        lambda r: r + beta * r / (alpha + r) - distance, 0, distance + abs(beta) + 1, xtol=1e-14
    )
    return params["reference"] + radius * offset / distance


# Kernels and discrepancies, pair by pair.


def rbf(x, y, bandwidth):
    return np.exp(-(np.linalg.norm(x - y) ** 2) / (2 * bandwidth**2))


def imq(x, y, constant):
    return constant / (constant + np.linalg.norm(x - y) ** 2)


def multi_scale_imq(x, y):
    return sum(imq(x, y, 2 * x.size * scale) for scale in SCALES)


def gram(kernel, x, y):
    return np.array([[kernel(a, b) for b in y] for a in x])


def mmd_squared(kernel, x, y, *, biased):
    def within(points):
        pairs = itertools.product if biased else itertools.permutations
        pairs = pairs(points, repeat=2) if biased else pairs(points, 2)
        return np.mean([kernel(a, b) for a, b in pairs])

    between = np.mean([kernel(a, b) for a, b in itertools.product(x, y)])
    return within(x) + within(y) - 2 * between


# The RBF metric.


def rbf_precision(z, centers, bandwidth, floor):
    return floor + sum(rbf(z, center, bandwidth) for center in centers)


def rbf_log_magnification(z, centers, bandwidth, floor):
    metric = np.eye(z.size) / rbf_precision(z, centers, bandwidth, floor)
    return 0.5 * np.linalg.slogdet(metric)[1]


def rbf_bandwidth(points, centers):
    nearest = [min(np.linalg.norm(point - center) ** 2 for center in centers) for point in points]
    return np.sqrt(0.5 * np.mean(nearest))
