"""`lagging`: the encoder converges before each step of the decoder, until that is of no more use.

"Lagging Inference Networks and Posterior Collapse in Variational Autoencoders" (He et al. 2019).
While training is aggressive, encoder-only steps are taken, and their mean loss per word is compared
from window to window; when a window is no better than the one before, the decoder steps alone. Once
the mutual information on the validation split no longer rises, training becomes ordinary for good:
the published code compares it once an epoch of the decoder's steps.

Every update takes the next batch of the plan, so that the position in the data stays one number. λ,
the learning rate and the epochs of the run count the decoder's steps. An embedding that both share
is the decoder's.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wae_rnf_jax.rules import Count, Size
from wae_rnf_jax.training.recipe import Batch, Metrics, Procedure, Recipe, TrainState
from wae_rnf_jax.training.step import gradient_step

BOTH, ENCODER, DECODER = range(3)  # whose turn it is; both once training is ordinary


class LaggingState(NamedTuple):
    """What is kept between steps, [] each."""

    turn: jax.Array
    decoder_steps: jax.Array
    encoder_steps: jax.Array  # since the decoder's last
    window_loss: jax.Array  # sums over the window so far
    window_tokens: jax.Array
    last_window: jax.Array  # mean loss a token of the window before
    mutual_information: jax.Array  # at the last comparison
    validated: jax.Array  # the decoder's steps at the last validation
    behind: jax.Array  # the encoder's alone then


def lagging(
    *, window: Size = 15, most_encoder_steps: Size = 99, compare_every: Count = 0
) -> Procedure:
    """Returns the procedure.

    Args:
      window: encoder steps whose mean loss is compared with that of the window before.
      most_encoder_steps: after so many the decoder steps in any case.
      compare_every: decoder steps from one comparison of the mutual information to the next, which
        is at the first validation after them; 0: at every validation.
    """
    return Procedure(
        step=partial(_step, window=window, most_encoder_steps=most_encoder_steps),
        init=lambda params: _first_state(),
        clock=lambda state: state.procedure.decoder_steps,
        counts="decoder step",
        num_steps=partial(_num_steps, most_encoder_steps=most_encoder_steps),
        event=partial(_event, compare_every=compare_every),
        by_part=True,
    )


def _first_state() -> LaggingState:
    return LaggingState(
        turn=jnp.asarray(ENCODER, jnp.int32),
        decoder_steps=jnp.zeros((), jnp.int32),
        mutual_information=jnp.asarray(-jnp.inf),
        validated=jnp.zeros((), jnp.int32),
        behind=jnp.zeros((), jnp.int32),
        **_first_window(),
    )


def _first_window() -> dict[str, jax.Array]:
    return {
        "encoder_steps": jnp.zeros((), jnp.int32),
        "window_loss": jnp.zeros(()),
        "window_tokens": jnp.zeros(()),
        "last_window": jnp.asarray(jnp.inf),
    }


def _step(
    state: TrainState,
    batch: Batch,
    rng: jax.Array,
    *,
    recipe: Recipe,
    axis_name: str | None,
    window: int,
    most_encoder_steps: int,
) -> tuple[TrainState, Metrics]:
    own = state.procedure
    decoder_moves = own.turn != ENCODER
    moving = {
        "encoder": own.turn != DECODER,
        "decoder": decoder_moves,
        "embedding": decoder_moves,
    }
    state, metrics = gradient_step(
        state, batch, rng, recipe=recipe, axis_name=axis_name, moving=moving
    )
    own_next = _after_step(own, metrics, window, most_encoder_steps)
    metrics = {**metrics, "aggressive": (own.turn != BOTH).astype(jnp.float32)}
    return state.replace(procedure=own_next), metrics


def _after_step(
    own: LaggingState, metrics: Metrics, window: int, most_encoder_steps: int
) -> LaggingState:
    """Whose turn is next; of metrics over all devices, so that it is the same on all of them."""
    taken = own.encoder_steps + 1
    loss = own.window_loss + metrics["loss"] * metrics["num_sentences"]
    tokens = own.window_tokens + metrics["num_tokens"]
    mean, full = loss / jnp.maximum(tokens, 1), taken % window == 0
    converged = full & ~(mean < own.last_window)  # a loss that is no number ends it too
    after_encoder = own._replace(
        turn=jnp.where(converged | (taken >= most_encoder_steps), DECODER, ENCODER),
        encoder_steps=taken,
        window_loss=jnp.where(full, 0, loss),
        window_tokens=jnp.where(full, 0, tokens),
        last_window=jnp.where(full, mean, own.last_window),
    )
    after_decoder = own._replace(
        turn=jnp.where(own.turn == BOTH, BOTH, ENCODER),
        decoder_steps=own.decoder_steps + 1,
        **_first_window(),
    )
    was_encoder = own.turn == ENCODER
    return jax.tree.map(
        lambda a, b: jnp.where(was_encoder, a, b).astype(b.dtype), after_encoder, after_decoder
    )


def _num_steps(state: TrainState, num_steps: int, *, most_encoder_steps: int) -> int:
    """Until the decoder has taken its steps: an aggressive run ends with a validation."""
    own = state.procedure
    left = max(num_steps - int(own.validated), 0)
    each = 1 if int(own.turn) == BOTH else 1 + most_encoder_steps
    return int(own.validated) + int(own.behind) + left * each


def _event(
    state: TrainState,
    key: jax.Array,
    metrics: dict[str, float],
    *,
    recipe: Recipe,
    compare_every: int,
) -> tuple[TrainState, bool]:
    """Ends the aggressive phase at the first comparison that finds no more mutual information."""
    del key, recipe
    own, found = state.procedure, metrics["mi"]
    if int(own.turn) == BOTH:
        return state, False
    decoder_steps, validated = int(own.decoder_steps), int(own.validated)
    own = own._replace(
        validated=own.decoder_steps,
        behind=jnp.asarray(state.step, jnp.int32) - own.decoder_steps,
    )
    if not compare_every or decoder_steps // compare_every > validated // compare_every:
        rises = found > float(own.mutual_information)
        own = own._replace(
            turn=own.turn if rises else jnp.asarray(BOTH, jnp.int32),
            mutual_information=jnp.asarray(found, jnp.float32),
        )
    return state.replace(procedure=own), False
