"""What is said of a run before it: buckets, sizes, arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import V, tiny_config
from wae_rnf_jax.training import estimate
from wae_rnf_jax.training.state import build_recipe, initial_state


def test_buckets_hold_every_sentence_once():
    lengths = np.array([3, 3, 4, 9, 10, 4, 9])
    buckets = estimate.planned_buckets(lengths, num_buckets=2, batch_size=2, seed=0)
    assert [b.length for b in buckets] == [4, 10]
    assert sum(b.num_sentences for b in buckets) == 7
    assert sum(b.num_batches for b in buckets) == 4
    positions = sum(b.num_batches * 2 * b.length * (1 - b.padding) for b in buckets)
    assert round(positions) == lengths.sum()


def test_matrix_products_count_as_often_as_they_run():
    a = jax.ShapeDtypeStruct((4, 5), jnp.float32)
    b = jax.ShapeDtypeStruct((5, 3), jnp.float32)
    assert estimate.matrix_flops(jnp.dot, a, b) == 2 * 4 * 5 * 3
    batched = jax.vmap(jnp.dot, (None, 0))
    many = jax.ShapeDtypeStruct((7, 5, 3), jnp.float32)
    assert estimate.matrix_flops(batched, a, many) == 7 * 2 * 4 * 5 * 3

    def loss(a, b):
        choice = jax.lax.cond(a.sum() > 0, lambda x: x @ (x.T @ x), lambda x: 2 * x, a)
        return jax.lax.fori_loop(0, 6, lambda _, x: x + choice @ b @ b.T, a).sum()

    once = 2 * 4 * 5 * 3
    assert estimate.matrix_flops(loss, a, b) == 6 * 2 * once
    product = jax.value_and_grad(lambda a, b: (a @ b).sum(), argnums=(0, 1))
    assert estimate.matrix_flops(jax.jit(product), a, b) == 3 * once


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_language_models_step_is_its_tokens_products_three_times_over(dtype):
    config = tiny_config(name="lm")
    config.model.update(latent_dim=0, num_flow_steps=0, cross_entropy_block=16, dtype=dtype)
    config.codebook.num_centers = 0
    recipe = build_recipe(config, V, steps_per_epoch=5, axis_name="devices")
    state = jax.eval_shape(lambda key: initial_state(config, recipe, key), estimate.abstract_key())
    embedding_dim = hidden_dim = 6
    tokens = 8 * 4
    of_lstm = 2 * tokens * (embedding_dim + hidden_dim) * 4 * hidden_dim
    of_output = 2 * tokens * hidden_dim * V
    flops = estimate.step_flops(recipe, state, batch_size=8, length=3)
    assert flops == 3 * (of_lstm + of_output)
    assert estimate.tree_size(state.params["embedding"]) == (6 * V, 4 * 6 * V)
