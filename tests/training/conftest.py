"""A tiny configuration, batch and corpus for the training tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default

V, B, L = 13, 8, 5


def tiny_config(**objective):
    """The defaults at sizes that compile and run in seconds, with plain gradient descent."""
    config = default.get_config()
    config.data.num_buckets = 1
    config.model.update(embedding_dim=6, hidden_dim=6, latent_dim=3, num_flow_steps=2)
    config.model.update(cross_entropy_block=64, dropout=0.0)
    config.codebook.update(num_centers=3, num_codes=32, warm_up=1, refresh_every=2)
    config.kl_weight.update(start=0, length=10)
    config.train.update(batch_size=B, num_epochs=2)
    if objective:
        with config.unlocked():
            config.objective = type(config)(objective)
    return config


@pytest.fixture(scope="session")
def batch():
    """Eight rows, the last two of padding."""
    rng = np.random.default_rng(0)
    lengths = np.array([5, 1, 3, 4, 2, 5, 0, 0], np.int32)
    tokens = rng.integers(4, V, (B, L)).astype(np.int32)
    tokens[np.arange(L)[None] >= lengths[:, None]] = 0
    return {
        "tokens": jnp.asarray(tokens),
        "lengths": jnp.asarray(lengths),
        "index": jnp.asarray([31, 5, 8, 2, 11, 40, 90, 91]),
        "where": jnp.asarray(lengths > 0),
    }


@pytest.fixture
def rng():
    return jax.random.key(7)
