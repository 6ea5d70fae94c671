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

from wae_rnf_jax.functional._arrays import match_varying
from wae_rnf_jax.models.initializers import DEFAULT, Initializers

Carry = tuple[jax.Array, jax.Array]  # (h [B, H], c [B, H])


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), gates in the order i, f, g, o.

    Attributes:
      features: H, the size of h and c.
      input_dim: E, the size of each step's input.
      context_dim: Z, the size of a vector added to every step's input; 0 for none.
      initializers: the family of initialisers.
    """

    features: int
    input_dim: int
    context_dim: int = 0
    initializers: Initializers = DEFAULT

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

    def _update(self, carry: Carry, input_gates: jax.Array, dtype: jnp.dtype) -> Carry:
        h, c = carry
        # Cast at every step, so that the kernel's gradient is summed over the steps uncast.
        gates = (h.astype(dtype) @ self.recurrent_kernel.astype(dtype)).astype(c.dtype)
        i, f, g, o = jnp.split(gates + jnp.broadcast_to(input_gates, gates.shape), 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def _constant_gates(self, context: jax.Array | None) -> jax.Array:
        """The share of the gates that no time step changes: [4H], or [..., B, 4H]."""
        if not self.context_dim:
            return self.bias
        gates = context @ self.context_kernel
        return gates + jnp.broadcast_to(self.bias, gates.shape)

    def step(self, carry: Carry, x: jax.Array, context: jax.Array | None = None) -> Carry:
        """One time step: carry, x [B, E], context [B, Z] -> carry, whose h is the output."""
        gates = x @ self.kernel.astype(x.dtype)
        gates = gates + jnp.broadcast_to(self._constant_gates(context), gates.shape)
        return self._update(carry, gates, x.dtype)

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
        constant = self._constant_gates(context)
        shape = jnp.broadcast_shapes(constant.shape, (inputs.shape[0], 4 * self.features))

        def body(carry: Carry, at_step) -> tuple[Carry, jax.Array]:
            input_gates, t = at_step
            gates = jnp.broadcast_to(input_gates, shape) + jnp.broadcast_to(constant, shape)
            new = self._update(carry, gates, inputs.dtype)
            if lengths is not None:
                alive = jnp.broadcast_to((t < lengths)[:, None], new[0].shape)
                new = jax.tree.map(lambda a, b: jnp.where(alive, a, b), new, carry)
            return new, new[0].astype(inputs.dtype)

        carry = jax.tree.map(lambda start: match_varying(start, inputs), carry)
        input_gates = jnp.swapaxes(inputs @ self.kernel.astype(inputs.dtype), 0, 1)
        carry, outputs = jax.lax.scan(body, carry, (input_gates, jnp.arange(inputs.shape[1])))
        return carry, jnp.moveaxis(outputs, 0, -2)
