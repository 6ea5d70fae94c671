"""Posteriors on three supports, their densities by SciPy, and integrals over the supports."""

from functools import cache

import jax.numpy as jnp
import numpy as np
from scipy import stats

import wae_rnf_jax as wae

BATCH = 3
SUPPORTS = ("plane", "circle", "sphere")
CONCENTRATIONS = (0.5, 4.0, 30.0)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@cache
def leaves(support, batch=BATCH):
    """Float64 leaves of the posteriors that are examined, led by the batch."""
    rng = np.random.default_rng(0)
    if support == "plane":
        return rng.normal(size=(batch, 2)), rng.uniform(-1.5, 1.0, (batch, 2))
    directions = unit(rng.normal(size=(batch, 2 + (support == "sphere"))))
    return directions, np.resize(CONCENTRATIONS, batch)


def make(support, dtype=np.float32, batch=BATCH):
    family = wae.DiagonalGaussian if support == "plane" else wae.VonMisesFisher
    return family(*(jnp.asarray(leaf, dtype) for leaf in leaves(support, batch)))


@cache
def reference_log_prob(support):
    """(posteriors [P, B], prior [P]) at the points of the quadrature, by SciPy."""
    points = quadrature(support)[0]
    rows = list(zip(*leaves(support), strict=True))
    if support == "plane":
        columns = [stats.norm.logpdf(points, m, np.exp(v / 2)).sum(-1) for m, v in rows]
        return np.stack(columns, 1), stats.norm.logpdf(points).sum(-1)
    columns = [stats.vonmises_fisher(m, k).logpdf(points) for m, k in rows]
    surface = {"circle": 2 * np.pi, "sphere": 4 * np.pi}[support]
    return np.stack(columns, 1), np.full(len(points), -np.log(surface))


@cache
def quadrature(support):
    """Points [P, Z] of a support and their weights [P], exact to rounding for what is here."""
    angles = np.linspace(0.0, 2 * np.pi, 128, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    if support == "circle":
        return circle, np.full(128, 2 * np.pi / 128)
    if support == "plane":
        line = np.arange(-12.0, 12.0, 0.15)
        return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), np.full(line.size**2, 0.15**2)
    heights, weights = np.polynomial.legendre.leggauss(64)
    across = np.sqrt(1 - heights**2)[:, None, None] * circle
    points = np.concatenate([np.broadcast_to(heights[:, None, None], (64, 128, 1)), across], -1)
    return points.reshape(-1, 3), np.repeat(weights * 2 * np.pi / 128, 128)


def mean_over(support, values):
    """E of values [P, ...] under each posterior, [B, ...]."""
    weights = quadrature(support)[1][:, None] * np.exp(reference_log_prob(support)[0])
    return np.tensordot(weights, values, axes=(0, 0))
