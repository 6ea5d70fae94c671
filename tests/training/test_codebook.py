"""The codebook: what it remembers, when it is refreshed, and its bandwidth."""

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.training.codebook import (
    CodebookSettings,
    initial_codebook,
    late_codebook,
    updated_codebook,
)

SETTINGS = CodebookSettings(
    num_centers=2, num_codes=8, warm_up=2, refresh_every=3, num_iterations=10, floor=1e-3
)
POINTS = np.array([[0, 0], [0, 1], [10, 10], [10, 11]], np.float32)


@jax.jit
def update(book, centers, where, step):
    return updated_codebook(
        book,
        centers,
        jnp.full(4, 1.0),
        where,
        step,
        jax.random.fold_in(jax.random.key(0), step),
        settings=SETTINGS,
        axis_name=None,
    )


def run(steps, where=(True,) * 4):
    book, books = initial_codebook(SETTINGS, 2), []
    for step in range(steps):
        centers = jnp.asarray(POINTS + 100 * (step == 0))
        book = update(book, centers, jnp.asarray(where), jnp.asarray(step))
        books.append(book)
    return books


def test_centers_are_those_of_the_remembered_codes():
    last = run(3)[-1]  # 8 codes: the first batch, far away, is forgotten by step 2
    centers = np.asarray(last.centers)
    np.testing.assert_allclose(
        centers[np.argsort(centers[:, 0])], [[0, 0.5], [10, 10.5]], atol=1e-5
    )


def test_bandwidth_is_half_the_mean_squared_distance_of_a_draw():
    last = run(3)[-1]
    # ‖center − c‖² = .25 for every posterior, whose spread is 1.
    np.testing.assert_allclose(last.bandwidth**2, (0.25 + 1.0) / 2, rtol=1e-5)


def test_refreshed_when_due_and_not_before():
    books = run(6)
    assert [bool(book.ready) for book in books] == [False, False, True, True, True, True]
    np.testing.assert_array_equal(books[3].centers, books[2].centers)
    np.testing.assert_array_equal(books[4].centers, books[3].centers)


def test_a_run_without_centers_for_half_of_its_steps_is_warned_of():
    assert late_codebook(SETTINGS, 4) is None
    assert "found at codebook.warm_up, step 2 of 3: before that" in late_codebook(SETTINGS, 3)
    assert "ends at step 2, before codebook.warm_up (2)" in late_codebook(SETTINGS, 2)
    for settings in (SETTINGS._replace(refresh_every=0), SETTINGS._replace(num_centers=0)):
        assert late_codebook(settings, 1) is None


def test_padded_rows_are_not_remembered():
    last = run(3, where=(True, True, False, False))[-1]
    assert float(jnp.abs(last.centers).max()) < 2.0


def test_fixed_centers_stay(key):
    settings = SETTINGS._replace(refresh_every=0)
    centers = jax.random.normal(key, (2, 2))
    book = initial_codebook(settings, 2, centers)
    after = updated_codebook(
        book,
        jnp.asarray(POINTS),
        jnp.full(4, 2.0),
        jnp.ones(4, bool),
        jnp.asarray(2),
        key,
        settings=settings,
        axis_name=None,
    )
    np.testing.assert_array_equal(after.centers, centers)
    assert after.codes is None
    # They are there from the first step on, with the bandwidth that draws of the prior have.
    assert after.ready
    draws = np.random.default_rng(0).normal(size=(10_000, 1, 2))
    own = np.square(draws - np.asarray(centers)).sum(-1).min(1)
    np.testing.assert_allclose(after.bandwidth**2, own.mean() / 2, rtol=0.05)
    assert initial_codebook(settings._replace(num_centers=0), 2) is None
