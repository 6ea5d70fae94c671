"""The sizes, sentences and states that the benchmarks run on.

Letters: B batch, L words, V vocabulary, E embedding, H hidden, Z latent.
"""

import os
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from configs import default, systems
from wae_rnf_jax.data.batches import Batch, TrainingBatches, num_batches_per_epoch
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.functional.special_ids import NUM_SPECIAL
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.training.parallel import axis_name, replicate
from wae_rnf_jax.training.recipe import Recipe, TrainState
from wae_rnf_jax.training.state import build_recipe, initial_state


class Sizes(NamedTuple):
    """Of the model and the split; the defaults are the paper's, with Penn Treebank's vocabulary."""

    vocab_size: int = 10_002
    embedding_dim: int = 200
    hidden_dim: int = 200
    latent_dim: int = 32
    dropout: float = 0.2
    num_sentences: int = 42_068
    num_buckets: int = 10


SMOKE = Sizes(30, 8, 8, 4, 0.2, 96, 2)


def sizes(smoke: bool) -> Sizes:
    """The paper's, or tiny ones."""
    return SMOKE if smoke else Sizes()


def sentence_lengths(num_sentences: int) -> tuple[np.ndarray, str]:
    """Words of each sentence, and where the numbers are from.

    Penn Treebank's own training sentences, where `WAE_RNF_DATA_DIR` names a folder with it; else
    draws of a log-normal fitted to them (μ 2.91, σ .587), rounded up and cut at 82 words.
    """
    folder = os.environ.get("WAE_RNF_DATA_DIR")
    file = Path(folder) / "ptb" / "train.txt" if folder else None
    if file is not None and file.is_file():
        with file.open(encoding="utf-8") as lines:
            lengths = np.array([n for n in (len(line.split()) for line in lines) if n])
        return lengths[:num_sentences], "Penn Treebank's lengths"
    draws = np.random.default_rng(0).lognormal(2.91, 0.587, num_sentences)
    return np.minimum(np.ceil(draws), 82).astype(np.int64), "lengths ~ log-normal(2.91, .587) ≤ 82"


def drawn_split(size: Sizes) -> tuple[TokenSplit, str]:
    """Sentences of such lengths, their words drawn by Zipf's law; and where the lengths are from.

    What a step costs depends on the lengths alone.
    """
    lengths, origin = sentence_lengths(size.num_sentences)
    rng = np.random.default_rng(1)
    ranks = np.arange(1, size.vocab_size - NUM_SPECIAL + 1)
    words = rng.choice(ranks, p=(1 / ranks) / (1 / ranks).sum(), size=int(lengths.sum()))
    tokens = (words + NUM_SPECIAL - 1).astype(np.uint16)
    return TokenSplit(tokens, np.concatenate([[0], np.cumsum(lengths)])), origin


def config_of(system: str, size: Sizes, batch_size: int) -> ConfigDict:
    """The configuration of a system at these sizes."""
    config = getattr(systems, system)(default.get_config())
    config.model.update(
        embedding_dim=size.embedding_dim,
        hidden_dim=size.hidden_dim,
        dropout=size.dropout,
    )
    if config.model.latent_dim:
        config.model.latent_dim = size.latent_dim
    config.data.num_buckets = size.num_buckets
    config.train.batch_size = batch_size
    return config


class Run(NamedTuple):
    """What a training run begins with."""

    recipe: Recipe
    state: TrainState
    rng: jax.Array


def untrained_model(system: str, size: Sizes) -> BoundModel:
    """A model with its first variables, on one device, as a trained run gives it."""
    run = started_run(config_of(system, size, batch_size=32), size)
    variables = {"params": run.state.params, "batch_stats": run.state.batch_stats}
    variables = jax.device_put(variables, jax.local_devices()[0])
    return BoundModel(run.recipe.model.clone(axis_name=None), variables)


def started_run(config: ConfigDict, size: Sizes) -> Run:
    """A recipe and first state, as the training loop makes them."""
    steps = num_batches_per_epoch(size.num_sentences, config.train.batch_size)
    recipe = build_recipe(config, size.vocab_size, steps_per_epoch=steps, axis_name=axis_name())
    rng = jax.random.key(0)
    return Run(recipe, replicate(initial_state(config, recipe, rng)), replicate(rng))


def typical_batches(split: TokenSplit, config: ConfigDict, number: int) -> list[Batch]:
    """Training batches at evenly spaced quantiles of their padded lengths.

    Their mean stands for an epoch's, and few lengths need be compiled.
    """
    batches = TrainingBatches(
        split,
        batch_size=config.train.batch_size,
        num_buckets=config.data.num_buckets,
        seed=config.train.seed,
    )
    order = np.argsort(batches.plan(0).bounds, kind="stable")
    quantiles = (np.arange(number) + 0.5) / number
    return [batches[int(order[int(q * len(order))])] for q in quantiles]


def num_tokens(batches: list[Batch]) -> int:
    """Predicted tokens: the words and one end a sentence."""
    return sum(int((batch["lengths"] + 1)[batch["where"]].sum()) for batch in batches)
