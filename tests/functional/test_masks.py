"""A row that does not count might as well not be there: in value and gradient, whatever it holds.

One table of functions with `where`, or with lengths, drives both tests.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae

ROWS, DIM, CENTERS, CLASSES = 7, 3, 2, 5
WHERE = np.array([True, False, True, True, False, True, True])
WEIGHTS = np.cos(np.arange(ROWS))
# What rows that do not count hold, and their ids.
BAD = {"nan": (np.nan, -1), "inf": (np.inf, 10**6), "-inf": (-np.inf, -(10**6)), "huge": (3e38, 99)}


class Case(NamedTuple):
    """A function of (where, rows, ids, shared): `where` None is for no row left out.

    Attributes:
      function: its float results, rows first or none.
      num_rows: how many float arrays with rows it takes, [N, Z] each.
      drawn: whether it draws rows by their places, so that they cannot be left out.
    """

    function: Callable
    num_rows: int = 1
    drawn: bool = False


def cosine_kernel(x, y):
    """Without a value at the origin."""
    x, y = (z / jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (x, y))
    return x @ y.T


def mmd(estimate, kernel, block_size):
    return lambda where, rows, ids, shared: estimate(
        rows[0], shared[1], kernel=kernel, where=where, block_size=block_size
    )


def cross_entropy(weights):
    """Of a sum, and of a sum with a weight for each token, which is differentiated otherwise."""

    def function(where, rows, ids, shared):
        nll = wae.fused_linear_cross_entropy(
            rows[0], shared[0], shared[0][0], ids, block_size=4, where=where
        )
        kept = WHERE if len(nll) < ROWS else slice(None)
        return nll * jnp.asarray(weights[kept], nll.dtype)

    return function


def token_sums(where, rows, ids, shared):
    """Sentences whose last tokens do not count, one after another."""
    if where is None:
        return rows[0].T.sum(-1)
    values = rows[0][np.argsort(~WHERE, stable=True)].T
    return wae.sum_over_tokens(values, jnp.full(DIM, where.sum()))


RBF = partial(wae.rbf_kernel, bandwidth=1.5)
CASES = {
    "fused_linear_cross_entropy": Case(cross_entropy(np.ones(ROWS))),
    "fused_linear_cross_entropy, weighted": Case(cross_entropy(WEIGHTS)),
    "mmd_squared_biased": Case(mmd(wae.mmd_squared_biased, RBF, None)),
    "mmd_squared_unbiased": Case(mmd(wae.mmd_squared_unbiased, wae.multi_scale_imq_kernel, None)),
    "mmd_squared_unbiased, blocks": Case(mmd(wae.mmd_squared_unbiased, RBF, 3)),
    "mmd_squared_biased, cosine": Case(mmd(wae.mmd_squared_biased, cosine_kernel, None)),
    "mmd_squared_unbiased, cosine, blocks": Case(mmd(wae.mmd_squared_unbiased, cosine_kernel, 3)),
    "rbf_bandwidth": Case(
        lambda where, rows, ids, shared: wae.rbf_bandwidth(rows[0], shared[1], where)
    ),
    "gaussian_mutual_information": Case(
        lambda where, rows, ids, shared: wae.gaussian_mutual_information(
            *rows, block_size=3, where=where
        ),
        num_rows=3,
    ),
    "active_units": Case(
        lambda where, rows, ids, shared: wae.active_units(rows[0], 1.0, where=where) * 1.0
    ),
    "kmeans": Case(
        lambda where, rows, ids, shared: wae.kmeans(
            jax.random.key(0), rows[0], num_clusters=2, num_iterations=3, where=where
        )[0],
        drawn=True,
    ),
    "sum_over_tokens": Case(token_sums),
}


def arrays(case, dtype):
    rng = np.random.default_rng(0)
    rows = [jnp.asarray(rng.normal(size=(ROWS, DIM)), dtype) for _ in range(case.num_rows)]
    shared = [rng.normal(size=(DIM, CLASSES)), rng.normal(size=(CENTERS, DIM))]
    return (
        rows,
        jnp.asarray(rng.integers(0, CLASSES, ROWS)),
        [jnp.asarray(x, dtype) for x in shared],
    )


def with_gradients(function):
    """(results, gradients of their sum in the rows and in what all rows share)."""

    def run(rows, ids, shared):
        def total(rows, shared):
            results = function(rows, ids, shared)
            return results.sum(), results

        (_, results), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(rows, shared)
        return results, gradients

    return jax.jit(run)


def spoiled(rows, ids, bad):
    """The rows that do not count hold what is bad."""
    value, bad_id = bad
    return [jnp.where(WHERE[:, None], row, value) for row in rows], jnp.where(WHERE, ids, bad_id)


@pytest.mark.parametrize("name", CASES)
def test_what_masked_rows_hold_changes_no_bit(name):
    case = CASES[name]
    rows, ids, shared = arrays(case, jnp.float32)
    run = with_gradients(partial(case.function, jnp.asarray(WHERE)))
    expected = run(rows, ids, shared)
    for bad in BAD.values():
        actual = run(*spoiled(rows, ids, bad), shared)
        jax.tree.map(np.testing.assert_array_equal, actual, expected)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(expected))
    for gradient in expected[1][0]:
        np.testing.assert_array_equal(gradient[~WHERE], 0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.drawn])
def test_masked_rows_might_as_well_not_be_there(name):
    case = CASES[name]
    rows, ids, shared = arrays(case, jnp.float64)
    results, gradients = with_gradients(partial(case.function, jnp.asarray(WHERE)))(
        *spoiled(rows, ids, BAD["nan"]), shared
    )
    wanted, (in_rows, in_shared) = with_gradients(partial(case.function, None))(
        [row[WHERE] for row in rows], ids[WHERE], shared
    )
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    close(results[WHERE] if results.shape[:1] == (ROWS,) else results, wanted)
    jax.tree.map(close, ([g[WHERE] for g in gradients[0]], gradients[1]), (in_rows, in_shared))
