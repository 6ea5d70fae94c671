"""A one-layer LSTM whose input products are taken for the whole sequence at once.

Letters: B batch, T time steps, E input features, H hidden units, Z context features.

`flax.linen.RNN` multiplies each step's input inside the scan. Here one product of [B·T, E] with
[E, 4H] precedes it, and a context (the code fed at every step) has a kernel of its own, so that
for many codes of one sentence the product with its words is computed once.

Products with the words, and of the recurrence, run in the dtype of the inputs; gates and carry are
at least float32.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.dropout import weight_dropout
from wae_rnf_jax.functional.recurrence import lstm_states
from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.linear import product

Carry = tuple[jax.Array, jax.Array]  # (h [B, H], c [B, H])


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), gates in the order i, f, g, o.

    Attributes:
      features: H, the size of h and c.
      input_dim: E, the size of each step's input.
      context_dim: Z, the size of a vector added to every step's input; 0 for none.
      initializers: the family of initializers.
      recurrent_dropout: rate at which recurrent weights are dropped where there is a stream of keys
        `weights`, as in training: the same for all sentences and steps of a pass.
    """

    features: int
    input_dim: int
    context_dim: int = 0
    initializers: Initializers = DEFAULT
    recurrent_dropout: float = 0.0

    def setup(self) -> None:
        family, hidden = self.initializers, self.features
        self.kernel = self.param("kernel", family.lstm_kernel(hidden), (self.input_dim, 4 * hidden))
        self.recurrent_kernel = self.param(
            "recurrent_kernel", family.lstm_recurrent_kernel(hidden), (hidden, 4 * hidden)
        )
        self.bias = self.param("bias", family.lstm_bias(hidden), (4 * hidden,))
        if self.context_dim:
            self.context_kernel = self.param(
                "context_kernel", family.lstm_kernel(hidden), (self.context_dim, 4 * hidden)
            )

    def _constant_gates(self, context: jax.Array | None) -> jax.Array:
        """The share of the gates that no time step changes: [4H], or [..., B, 4H]."""
        if not self.context_dim:
            return self.bias
        gates = context @ self.context_kernel
        return gates + jnp.broadcast_to(self.bias, gates.shape)

    def step(self, carry: Carry, x: jax.Array, context: jax.Array | None = None) -> Carry:
        """One time step: carry, x [B, E], context [B, Z] -> carry, whose h is the output."""
        carry, _ = self(carry, x[:, None], context=context)
        return carry

    def last_state(self, inputs: jax.Array, lengths: jax.Array) -> jax.Array:
        """Args: inputs [B, T, E]; lengths [B]. Returns [h, c] at each row's end, [B, 2H]."""
        dtype = jnp.promote_types(inputs.dtype, jnp.float32)
        zeros = jnp.zeros((inputs.shape[0], self.features), dtype)
        return jnp.concatenate(self((zeros, zeros), inputs, lengths=lengths)[0], axis=-1)

    def __call__(
        self,
        carry: Carry,
        inputs: jax.Array,
        *,
        context: jax.Array | None = None,
        lengths: jax.Array | None = None,
    ) -> tuple[Carry, jax.Array]:
        """Runs the sequence.

        Args:
          carry: (h, c), each [..., B, H]; leading axes run the same inputs from other starts.
          inputs: [B, T, E], float32 or of lower precision.
          context: [..., B, Z], or None where context_dim is 0.
          lengths: [B] integer; from there on a row's carry stays as it is. None: all of T.

        Returns:
          The carry after each row's last step, and the outputs [..., B, T, H] in the inputs'
          dtype; outputs past a row's length repeat its last one.
        """
        batch, num_steps, _ = inputs.shape
        # As one list of rows, in the order of the loop: no copy of the gates is transposed, here or
        # for the kernel's gradient.
        rows = jnp.swapaxes(inputs, 0, 1).reshape(num_steps * batch, self.input_dim)
        gates = product(rows, self.kernel, inputs.dtype).reshape(num_steps, batch, -1)
        constant, recurrent_kernel = self._constant_gates(context), self.recurrent_kernel
        if self.recurrent_dropout and self.has_rng("weights"):
            own_key = self.make_rng("weights")
            recurrent_kernel = weight_dropout(
                own_key, recurrent_kernel, rate=self.recurrent_dropout
            )
        recurrent_kernel = recurrent_kernel.astype(inputs.dtype)
        h, c = lstm_states(gates, constant, recurrent_kernel, *carry)
        last, outputs = (h[-1], c[-1]), h
        if lengths is not None:
            last, outputs = _until(lengths, carry, (h, c))
        return last, jnp.moveaxis(outputs.astype(inputs.dtype), 0, -2)


def _until(lengths: jax.Array, start: Carry, states: Carry) -> tuple[Carry, jax.Array]:
    """The carry after each row's length, and h, which stays as it is from there on.

    The loop runs on regardless: to select what is read afterwards is cheaper.
    """
    num_steps, rank = states[0].shape[0], states[0].ndim
    taken = jnp.expand_dims(jnp.arange(1, num_steps + 1), range(1, rank))
    lengths = jnp.expand_dims(jnp.minimum(lengths, num_steps), (*range(rank - 2), -1))
    last = tuple(
        jnp.where(taken == lengths, state, 0).sum(0) + jnp.where(lengths[0] == 0, first, 0)
        for first, state in zip(start, states, strict=True)
    )
    return last, jnp.where(taken <= lengths, states[0], last[0][None])
