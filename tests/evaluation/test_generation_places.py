"""Where more codes are decoded than at once: whose place is taken when."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.evaluation.generation import greedy_search
from wae_rnf_jax.functional.special_ids import EOS_ID


@partial(jax.tree_util.register_dataclass, data_fields=(), meta_fields=("calls", "vocab_size"))
@dataclasses.dataclass(frozen=True)
class Lengths:
    """A decoder whose sentences are as long as their codes say; it counts its steps."""

    calls: list = dataclasses.field(default_factory=list, compare=False)
    vocab_size: int = 8

    def start(self, zk, max_length):
        return zk[:, 0]

    def decode_step(self, left, token, zk):
        jax.debug.callback(lambda: self.calls.append(1))
        word = jnp.where(left > 0, 4, EOS_ID)
        return left - 1, jnp.where(jnp.arange(8)[None] == word[:, None], 0.0, -9.0)


def test_the_place_of_an_ended_sentence_is_taken_at_once():
    lengths = np.array([0, 7, 0, 0, 7, 1, 0, 2, 9, 0, 3, 0])
    model = Lengths()
    generation = greedy_search(
        model, jnp.asarray(lengths, jnp.float32)[:, None], max_length=8, batch_size=2
    )
    jax.effects_barrier()
    np.testing.assert_array_equal(generation.lengths, np.minimum(lengths, 8))
    np.testing.assert_array_equal(generation.finished, lengths < 8)
    predicted = np.minimum(lengths + 1, 8)
    # Two places, one of which may stand empty during the last sentence.
    assert predicted.sum() / 2 <= len(model.calls) <= (predicted.sum() + 8) / 2
