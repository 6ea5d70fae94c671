"""A decoder's methods, compiled, and its steps one after another, for the tests of decoders."""

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.jit, static_argnames=("decoder", "method"))
def applied(decoder, variables, *args, method="__call__"):
    return decoder.apply(variables, *args, method=method)


def started(decoder, variables, zk, max_length=16):
    return decoder.apply(variables, zk, max_length, method="start")


def stepped(decoder, variables, carry, embedded, zk):
    """The carry and the outputs [B, T, H], one position after the other."""
    outputs = []
    for t in range(embedded.shape[1]):
        carry, output = applied(decoder, variables, carry, embedded[:, t], zk, method="step")
        outputs.append(output)
    return carry, jnp.stack(outputs, 1)
