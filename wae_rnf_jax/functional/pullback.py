"""Riemannian metric of the latent space, pulled back from what the codes decode to.

Shapes: Z latent dimensions, M features, V vocabulary. A decoder maps a code z [Z] to features of
any shape; the metric G(z) = JᵀJ, J = ∂decode/∂z, measures a step in z by how far it moves the
features (Arvanitidis et al. 2018, arXiv:1710.11379). Functions take one code: use ``jax.vmap`` for
many.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import match_varying, narrowed, widened

_HIGHEST = jax.lax.Precision.HIGHEST

FEATURES = ("fisher", "state")  # what a text decoder's metric is pulled back from, by name

Decode = Callable[[jax.Array], jax.Array]
Metric = Callable[[jax.Array], jax.Array]


def fisher_features(logits: jax.Array) -> jax.Array:
    """2·√p of categorical distributions, on a sphere of radius 2.

    Their Euclidean length element is the Fisher–Rao one, so the metric pulled back from them is
    the Fisher information of the code (Arvanitidis et al. 2021, arXiv:2106.05367).

    Args:
      logits: floating [..., V].

    Returns:
      [..., V].

    >>> fisher_features(jnp.zeros([4])).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    chex.assert_type(logits, float)
    return narrowed(2.0 * jnp.exp(0.5 * jax.nn.log_softmax(widened(logits), axis=-1)), logits)


def pullback_metric(decode: Decode, z: jax.Array, *, metric: Metric | None = None) -> jax.Array:
    """The metric G(z) = JᵀJ, or Jᵀ·metric(decode(z))·J, with J = ∂decode/∂z.

    Args:
      decode: maps a code [Z] to features; with ``metric``, to features [M].
      z: [Z] code.
      metric: maps features [M] to their own metric [M, M]; Euclidean if None.

    Returns:
      [Z, Z], symmetric and positive semi-definite, in squared units of the features.

    Raises:
      AssertionError: wrong rank or dtype.

    >>> pullback_metric(lambda z: 3.0 * z, jnp.zeros([2])).tolist()
    [[9.0, 0.0], [0.0, 9.0]]
    """
    jacobian = _jacobian(decode, z)
    if metric is None:
        return _euclidean(jacobian)
    chex.assert_rank(jacobian, 2)
    weighted = jnp.matmul(metric(widened(decode(widened(z)))), jacobian, precision=_HIGHEST)
    return jnp.matmul(jacobian.T, weighted, precision=_HIGHEST)


def pullback_metric_product(decode: Decode, z: jax.Array, vector: jax.Array) -> jax.Array:
    """G(z)·vector of the Euclidean pullback metric, without ever forming J or G.

    Args:
      decode: maps a code [Z] to features of any shape.
      z: [Z] code.
      vector: [Z].

    Returns:
      [Z].

    Raises:
      AssertionError: wrong ranks, sizes or dtypes.

    >>> pullback_metric_product(lambda z: 3.0 * z, jnp.zeros([2]), jnp.array([1.0, 2.0])).tolist()
    [9.0, 18.0]
    """
    _check_code(z)
    chex.assert_type(vector, float)
    chex.assert_equal_shape([z, vector])
    z, vector = widened((z, vector))
    z, vector = match_varying(z, vector), match_varying(vector, z)
    _, pushed = jax.jvp(decode, (z,), (vector,))
    _, pull_back = jax.vjp(decode, z)
    return pull_back(pushed)[0]


def metric_log_magnification(metric: jax.Array) -> jax.Array:
    """Log-magnification ½·log|G| of metrics, by Cholesky: the log of the volume element.

    Args:
      metric: [..., Z, Z] symmetric.

    Returns:
      [...] nats; NaN where the metric is not positive definite.

    Raises:
      AssertionError: the last two axes differ, or the dtype is not floating.

    >>> print(f"{metric_log_magnification(4.0 * jnp.eye(2)):.4f}")
    1.3863
    """
    chex.assert_type(metric, float)
    chex.assert_axis_dimension(metric, -1, metric.shape[-2])
    factor = jnp.linalg.cholesky(widened(metric))
    return jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)


def pullback_log_magnification(decode: Decode, z: jax.Array) -> jax.Array:
    """Log-magnification ½·log|JᵀJ| of a decoder at a code, exact.

    Args:
      decode: maps a code [Z] to at least Z features.
      z: [Z] code.

    Returns:
      [] nats. Where J has not full rank the logarithm is −∞: what is returned is NaN, or, where
      rounding has filled the rank up, very small. JᵀJ squares J's condition number: above about
      1e3 in directions that are no axes, single precision has an error of .1, above 1e4 NaN.

    Raises:
      ValueError: fewer than Z features, with which J never has full rank.
      AssertionError: wrong rank or dtype.

    >>> print(f"{pullback_log_magnification(lambda z: 2.0 * z, jnp.zeros([3])):.4f}")
    2.0794
    """
    jacobian = _jacobian(decode, z)
    num_features = jacobian.size // z.shape[0]
    if num_features < z.shape[0]:
        raise ValueError(
            f"decode gives {num_features} features of a code of {z.shape[0]} dimensions: with "
            "fewer features than dimensions the metric has no volume"
        )
    return metric_log_magnification(_euclidean(jacobian))


def pullback_log_magnification_estimate(
    key: jax.Array, decode: Decode, z: jax.Array, *, num_probes: int, num_iterations: int
) -> jax.Array:
    """Log-magnification ½·log|JᵀJ| for large Z, from products with G alone.

    Stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017, SIAM J. Matrix Anal. Appl. 38:1075):
    num_probes random signs v, and for each the quadrature of vᵀ·log(G)·v from num_iterations
    Lanczos steps. Memory is O(num_iterations·Z); it is exact where G has at most num_iterations
    distinct eigenvalues and they are equal or Z·(spread of the probes) is averaged away.

    Args:
      key: of the probes.
      decode: maps a code [Z] to at least Z features.
      z: [Z] code.
      num_probes: random vectors averaged over.
      num_iterations: Lanczos steps, at most Z of which are of use.

    Returns:
      [] nats.

    Raises:
      ValueError: num_probes or num_iterations below 1.
      AssertionError: wrong rank or dtype.

    >>> estimate = pullback_log_magnification_estimate(
    ...     jax.random.key(0), lambda z: 2.0 * z, jnp.zeros([3]), num_probes=1, num_iterations=1)
    >>> print(f"{estimate:.4f}")
    2.0794
    """
    _check_code(z)
    for name, value in (("num_probes", num_probes), ("num_iterations", num_iterations)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    z, num_iterations = widened(z), min(num_iterations, z.shape[0])
    probes = jax.random.rademacher(key, (num_probes, z.shape[0]), z.dtype)

    def product(vector: jax.Array) -> jax.Array:
        return pullback_metric_product(decode, z, vector)

    def quadrature(probe: jax.Array) -> jax.Array:
        nodes, vectors = jnp.linalg.eigh(_lanczos(product, probe, num_iterations))
        # What an early exhausted Krylov space leaves over has no weight.
        weights = jnp.square(vectors[0])
        unused = weights <= jnp.finfo(z.dtype).eps
        return jnp.sum(jnp.where(unused, 0.0, weights * jnp.log(jnp.where(unused, 1.0, nodes))))

    return 0.5 * z.shape[0] * jax.lax.map(quadrature, probes).mean()


def _lanczos(product: Callable, start: jax.Array, num_iterations: int) -> jax.Array:
    """Tridiagonal [m, m] of m Lanczos steps, each vector orthogonalized against all before it.

    Once the Krylov space is exhausted, the steps left over get diagonal entries of their own,
    above the spectrum, and are coupled to nothing: equal eigenvalues would have no gradient.
    """
    tiny = jnp.square(jnp.finfo(start.dtype).eps * start.shape[0])

    def body(carry, step):
        basis, vector, scale = carry
        is_used = jnp.vdot(vector, vector) > 0
        basis = basis.at[step].set(vector)
        image = product(vector)
        diagonal = jnp.vdot(vector, image, precision=_HIGHEST)
        for _ in range(2):  # once is not enough in floating point (Parlett 1980)
            overlap = jnp.matmul(basis, image, precision=_HIGHEST)
            image = image - jnp.matmul(overlap, basis, precision=_HIGHEST)
        square = jnp.vdot(image, image, precision=_HIGHEST)
        scale = jnp.maximum(scale, jnp.abs(diagonal))
        goes_on = square > tiny * jnp.square(scale)
        norm = jnp.sqrt(jnp.where(goes_on, square, 1.0))  # no root of 0, for the gradient
        vector = jnp.where(goes_on, image / norm, 0.0)
        diagonal = jnp.where(is_used, diagonal, start.shape[0] * scale * (2.0 + step))
        return (basis, vector, scale), (diagonal, jnp.where(goes_on, norm, 0.0))

    start = start / jnp.linalg.norm(start)
    basis = jnp.zeros((num_iterations, start.shape[0]), start.dtype)
    image = product(start)  # for its type alone
    carry = [match_varying(leaf, start, image) for leaf in (basis, start, jnp.zeros_like(start[0]))]
    _, (diagonal, off_diagonal) = jax.lax.scan(body, tuple(carry), jnp.arange(num_iterations))
    off_diagonal = off_diagonal[:-1]
    return jnp.diag(diagonal) + jnp.diag(off_diagonal, 1) + jnp.diag(off_diagonal, -1)


def _jacobian(decode: Decode, z: jax.Array) -> jax.Array:
    """J of a decoder at a code: [..., Z], the features' own axes first."""
    _check_code(z)
    return widened(jax.jacfwd(decode)(widened(z)))


def _euclidean(jacobian: jax.Array) -> jax.Array:
    """JᵀJ [Z, Z] of a Jacobian [..., Z]."""
    jacobian = jacobian.reshape(-1, jacobian.shape[-1])
    return jnp.matmul(jacobian.T, jacobian, precision=_HIGHEST)


def _check_code(z: jax.Array) -> None:
    chex.assert_type(z, float)
    chex.assert_rank(z, 1)
    chex.assert_axis_dimension_gteq(z, 0, 1)
