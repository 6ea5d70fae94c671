"""Keys and sentences of a batch, for what is drawn by example."""

import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wae
from wae_rnf_jax.functional.special_ids import NUM_SPECIAL, PAD_ID

BATCH, TIME = 64, 40


@pytest.fixture
def keys(key):
    return wae.example_keys(key, jnp.arange(BATCH))


@pytest.fixture
def inputs():
    """<bos>, words and right padding, each sentence of another length."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(NUM_SPECIAL, 100, (BATCH, TIME - 1))
    lengths = rng.integers(1, TIME, BATCH)
    tokens[np.arange(TIME - 1)[None] >= lengths[:, None]] = PAD_ID
    return wae.bos_inputs(jnp.asarray(tokens, jnp.int32))
