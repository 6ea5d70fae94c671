"""The modified Bessel functions I_v as integrals over spheres need them, for any argument.

With t one coordinate of a uniform point on the unit sphere of R^Z and v = Z/2 - 1,

    E[exp(x·t)] = M_v(x) = Γ(v + 1)·(2/x)^v·I_v(x),    (log M_v)' = A_v = I_{v+1} / I_v.

I_v itself underflows at large orders and overflows at large arguments; it is never formed. At one
large order Olver's expansion (DLMF 10.41), uniform in x ≥ 0, gives log M, A and A'; its terms come
from the Riccati equation x·w' = x² + v² - w² of w = x·I_v' / I_v. From there orders are stepped
down to the one asked for by 1/A_v = 2(v + 1)/x + A_{v+1} and what follows from it, which is stable
and loses few digits. There is no case of small or of large arguments to tell apart.
"""

import math
from functools import lru_cache, partial, reduce
from itertools import zip_longest
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import Polynomial

from wae_rnf_jax.functional._arrays import widened

# The order from which Olver's expansion is taken, and its terms, in double and single precision:
# for any argument its error is below the rounding error.
_DOUBLE = (20, 13)
_SINGLE = (10, 6)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_scaled_bessel_and_divergence(order: float, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """log(M_v(x)·exp(-x)), and the divergence of the density exp(x·t)/M_v(x) from the uniform one.

    Args:
      order: v ≥ 0.
      x: [...] arguments, not negative.

    Returns:
      [...] logarithms, falling from 0 at x = 0, with derivative A_v - 1, and [...] divergences
      x·A_v(x) - log M_v(x), rising from 0, with derivative x·A_v'.
    """
    return _values(_at_order(order, x), x)


@log_scaled_bessel_and_divergence.defjvp
def _jvp(order: float, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple:
    terms = _at_order(order, *primals)
    derivatives = (-terms.complement, terms.ratio * terms.elasticity)
    return _values(terms, *primals), tuple(d * tangents[0] for d in derivatives)


def mean_resultant_complement(dim: int, concentration: jax.Array) -> jax.Array:
    """1 − A_v(κ), by which the mean of a von Mises–Fisher distribution's draws falls short of 1.

    Args:
      dim: Z, dimensions of the space around the sphere, at least 2.
      concentration: [...], κ ≥ 0.

    Returns:
      [...], from 0 to 1.
    """
    return _at_order(0.5 * dim - 1.0, widened(concentration)).complement


class _Terms(NamedTuple):
    """Four functions of x at one order, each accurate by itself where another one would cancel."""

    ratio: jax.Array  # A
    complement: jax.Array  # 1 - A
    elasticity: jax.Array  # x·A' / A, from 1 at x = 0 down to 0
    divergence: jax.Array  # x·A - log M


def _values(terms: _Terms, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -(x * terms.complement + terms.divergence), terms.divergence


def _at_order(order: float, x: jax.Array) -> _Terms:
    large_order, num_terms = _DOUBLE if x.dtype == jnp.float64 else _SINGLE
    num_steps = max(0, math.ceil(large_order - order))
    uppers = [order + step for step in range(num_steps, 0, -1)]

    def step_down(above: _Terms, upper: jax.Array) -> tuple[_Terms, None]:
        """From the order ``upper`` to the order below it."""
        over_x = 1.0 / (2.0 * upper + x * above.ratio)
        ratio = x * over_x
        fall = ratio * above.ratio * (1.0 + above.elasticity)  # x·A_v - x·A_{v+1}
        below = _Terms(
            ratio,
            over_x * (2.0 * upper - x * above.complement),
            over_x * (2.0 * upper - x * above.ratio * above.elasticity),
            above.divergence + fall - jnp.log1p(x * above.ratio / (2.0 * upper)),
        )
        return below, None

    top = _at_large_order(order + num_steps, num_terms, x)
    return jax.lax.scan(step_down, top, jnp.asarray(uppers, x.dtype))[0]


def _at_large_order(order: float, num_terms: int, x: jax.Array) -> _Terms:
    """Olver's expansion in t = v/p, where p² = v² + x²; differences such as p - v are expanded."""
    p = jnp.sqrt(jnp.square(x) + order**2)
    t, sine = order / p, x / p
    coefficients = np.asarray(_coefficients(order, num_terms), x.dtype)
    powers = coefficients.reshape(*coefficients.shape, *(1,) * x.ndim)
    correction, slope, constant = reduce(lambda total, c: total * t[None] + c, powers)  # Horner
    factor = 1.0 / (1.0 + t) + correction
    slope_of_factor = slope - 1.0 / jnp.square(1.0 + t)
    excess = sine * x / (order * (1.0 + t))  # p/v - 1
    return _Terms(
        ratio=sine * factor,
        complement=(order + order**2 / (p + x)) / (p + order) - sine * correction,
        elasticity=jnp.square(t) - t * jnp.square(sine) * slope_of_factor / factor,
        divergence=order * jnp.log1p(0.5 * excess)
        + 0.5 * jnp.log1p(excess)
        + jnp.square(sine) / (1.0 + t) * constant,
    )


@lru_cache
def _coefficients(order: float, num_terms: int) -> tuple[tuple[float, ...], ...]:
    """Coefficients of the powers of t, highest first, in three sums of the expansion at an order.

    x·A = (p - v) + (1 - t²)·Σ_k e_k(t²)·p^(1-k): the Riccati equation gives each e_k from those
    before. The sums are Σ_k e_k(t²)·p^(-k), its derivative in t, and what (1 - t) is multiplied by
    in the divergence, which takes the integral of A as well.
    """
    u = t = Polynomial([0.0, 1.0])
    terms = [Polynomial([-0.5])]
    for k in range(2, num_terms + 1):
        last = terms[-1]
        products = sum(left * right for left, right in zip(terms, terms[::-1], strict=True))
        rest = products + (2 - k) * last - 2 * u * last.deriv()
        terms.append(-0.5 * (1 - u) * rest - u * last)
    in_t = [term(t**2) * (t / order) ** k for k, term in enumerate(terms)]
    total = sum(in_t)  # Σ_k e_k(t²)·p^(1-k)
    # The logarithm of Debye's series, from its derivative; the term k = 1 is the logarithm of p.
    derivative = [term(t**2) * (t / order) ** k for k, term in enumerate(terms[1:])]
    log_series = -sum(derivative[1:], derivative[0]).integ() / order
    constant = (1 + t) * total - (log_series - log_series(1.0)) // (1 - t)
    correction = total * t / order
    sums = [s.coef.tolist() for s in (correction, correction.deriv(), constant)]
    return tuple(zip_longest(*sums, fillvalue=0.0))[::-1]
