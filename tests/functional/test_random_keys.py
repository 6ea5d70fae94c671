"""Random keys of every generator, typed and raw: taken, or refused in one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae

GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")
BATCH = 8
each_generator = pytest.mark.parametrize("generator", GENERATORS)

# Of one key; the last one's noise is rejected in part.
TAKE_A_KEY = {
    "kmeans": lambda key: wae.kmeans(
        key, jnp.arange(12.0).reshape(6, 2), num_clusters=2, num_iterations=1
    )[0],
    "planar_identity_params": lambda key: wae.planar_identity_params(key, 3)["w"],
    "planar_paper_params": lambda key: wae.planar_paper_params(key, 3)["u"],
    "radial_identity_params": lambda key: wae.radial_identity_params(key, 3)["reference"],
    "pullback_log_magnification_estimate": lambda key: wae.pullback_log_magnification_estimate(
        key, jnp.cumsum, jnp.zeros(9), num_probes=1, num_iterations=3
    ),
    "categorical_draws": lambda key: wae.categorical_draws(key, jnp.zeros(300), num_draws=9),
    "vmf_sample": lambda key: wae.vmf_sample(key, jnp.array([0.0, 0.0, 1.0]), 30.0),
    "weight_dropout": lambda key: wae.weight_dropout(key, jnp.ones(40), rate=0.4),
}
# Of a key for each of a batch.
TAKE_KEYS = {
    "word_dropout": lambda keys: wae.word_dropout(keys, jnp.full((len(keys), 40), 9), rate=0.4),
    "example_dropout": lambda keys: wae.example_dropout(keys, jnp.ones((len(keys), 40)), rate=0.4),
    "embedding_dropout": lambda keys: wae.embedding_dropout(
        keys, jnp.ones((len(keys), 40, 1)), jnp.tile(jnp.arange(40), (len(keys), 1)), rate=0.4
    ),
    "example_normal": lambda keys: wae.example_normal(keys, (3,)),
    "vmf_sample": jax.vmap(TAKE_A_KEY["vmf_sample"]),
}


@each_generator
@pytest.mark.parametrize("name", TAKE_A_KEY)
def test_a_key_of_any_generator_is_taken(name, generator):
    draws = [TAKE_A_KEY[name](jax.random.key(seed, impl=generator)) for seed in range(8)]
    assert np.isfinite(draws).all()
    assert len(np.unique(np.stack(draws).reshape(8, -1), axis=0)) > 1
    np.testing.assert_array_equal(draws[0], TAKE_A_KEY[name](jax.random.key(0, impl=generator)))


@pytest.mark.parametrize("name", TAKE_A_KEY)
def test_a_raw_key_is_the_typed_one(name):
    raw = TAKE_A_KEY[name](jax.random.PRNGKey(3))
    np.testing.assert_array_equal(raw, TAKE_A_KEY[name](jax.random.key(3)))


@each_generator
@pytest.mark.parametrize("name", TAKE_KEYS)
def test_noise_is_that_of_the_own_key_alone(name, generator):
    keys = jax.random.split(jax.random.key(1, impl=generator), BATCH)
    together = jax.jit(TAKE_KEYS[name])(keys)
    apart = jnp.concatenate([jax.jit(TAKE_KEYS[name])(keys[i : i + 1]) for i in range(BATCH)])
    np.testing.assert_array_equal(together, apart)
    assert len(np.unique(together, axis=0)) == BATCH


@each_generator
def test_an_example_has_the_same_key_in_any_batch(generator):
    key = jax.random.key(5, impl=generator)
    together = wae.example_keys(key, jnp.arange(BATCH))
    assert (wae.example_keys(key, jnp.array([6, 1])) == together[jnp.array([6, 1])]).all()
    others = wae.example_keys(jax.random.key(6, impl=generator), jnp.arange(BATCH))
    both = np.concatenate([jax.random.key_data(keys) for keys in (together, others)])
    assert len(np.unique(both, axis=0)) == 2 * BATCH


@each_generator
def test_rejected_proposals_are_drawn_anew_by_any_generator(generator):
    """The spread across the mean direction is 1/√κ; of proposals kept too early it is wider."""
    north = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0]), (20_000, 3))
    draws = np.float64(wae.vmf_sample(jax.random.key(0, impl=generator), north, 1_000.0))
    np.testing.assert_allclose(draws[:, 0].std() * 1_000**0.5, 1.0, rtol=0.03)
    assert draws[:, 2].min() > 0.98


@pytest.mark.parametrize(
    "call",
    [
        lambda raw: wae.example_keys(raw, jnp.arange(2)),
        lambda raw: wae.word_dropout(raw[None], jnp.ones((1, 2), int), rate=0.5),
        lambda raw: wae.example_dropout(raw[None], jnp.ones((1, 2)), rate=0.5),
        lambda raw: wae.embedding_dropout(
            raw[None], jnp.ones((1, 2, 3)), jnp.ones((1, 2), int), rate=0.5
        ),
        lambda raw: wae.example_normal(raw[None], (2,)),
    ],
)
def test_raw_keys_of_a_batch_are_refused(call):
    """Of a raw key and a batch of two typed ones the shapes are alike."""
    with pytest.raises(AssertionError, match=r"^random keys must be typed \(jax.random.key\)"):
        call(jax.random.PRNGKey(0))
