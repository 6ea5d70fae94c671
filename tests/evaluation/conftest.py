"""Tiny models of random weights, large enough for their sentences to differ."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS, Vocabulary
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.runs.trained_model import TrainedModel

WORDS = ("red", "green", "blue", "cyan")


def tiny_model(
    *, latent_dim: int, num_flow_steps: int, seed: int = 0, spread: float = 0.8
) -> BoundModel:
    module = TextAutoencoder(
        vocab_size=len(SPECIAL_WORDS) + len(WORDS),
        embedding_dim=6,
        hidden_dim=5,
        latent_dim=latent_dim,
        num_flow_steps=num_flow_steps,
        cross_entropy_block=64,
    )
    key = jax.random.key(seed)
    shapes = jax.eval_shape(
        functools.partial(module.init, train=False),
        key,
        jnp.full((2, 3), 4, jnp.int32),
        jnp.full((2,), 3, jnp.int32),
        jax.random.split(key, 2),
        where=jnp.ones(2, bool),
    )
    rng = np.random.default_rng(seed)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(spread * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )
    return BoundModel(module, variables)


@pytest.fixture(scope="session")
def make_tiny_model() -> Callable[..., BoundModel]:
    return tiny_model


@pytest.fixture(scope="session")
def tiny() -> BoundModel:
    return tiny_model(latent_dim=3, num_flow_steps=2)


@pytest.fixture(scope="session")
def tiny_language_model() -> BoundModel:
    return tiny_model(latent_dim=0, num_flow_steps=0)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary((*SPECIAL_WORDS, *WORDS))


@pytest.fixture(scope="session")
def split() -> TokenSplit:
    """23 sentences of 1 to 6 words."""
    rng = np.random.default_rng(5)
    sentences = [rng.integers(4, 8, size=rng.integers(1, 7)).tolist() for _ in range(23)]
    return TokenSplit.from_sentences(sentences, vocab_size=8)


@pytest.fixture(scope="session")
def trained_of(vocabulary, split) -> Callable[[BoundModel], TrainedModel]:
    """A model with what a workdir holds beside it."""
    corpus = Corpus(vocabulary, None, split, split, "")
    return lambda model: TrainedModel({"system": "tiny"}, corpus, model, 0, None)


@pytest.fixture(scope="session")
def trained(tiny, trained_of) -> TrainedModel:
    return trained_of(tiny)


@pytest.fixture(scope="session")
def trained_language_model(tiny_language_model, trained_of) -> TrainedModel:
    return trained_of(tiny_language_model)
