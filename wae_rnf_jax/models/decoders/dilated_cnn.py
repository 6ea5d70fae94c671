"""A decoder of dilated causal convolutions, which sees a fixed number of words back.

Letters: B batch, T time steps, N = ...·B rows of all codes, E embedding, H hidden (the external
width), I the internal width of the blocks, Z latent, d dilation.

All positions at once are computed time first, as one list of T·N rows: a shift in time then moves
one contiguous piece, and every convolution is a single matrix product.

Products with the words, and of the blocks, run in the dtype of the inputs and are accumulated in at
least float32, as is all that is added up; the code's product and the carry are at least float32.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.linear import linear, product
from wae_rnf_jax.rules import Count, Sizes

Carry = tuple[jax.Array, ...]  # one block's last inputs of its convolution each, [B, 2·d, I]

_WIDTH = 3


class ResidualBlock(nn.Module):
    """Adds what a causal convolution of width 3 makes of its input.

    ReLU, 1×1 convolution to the internal width, ReLU, causal convolution, ReLU, 1×1 back.

    Attributes:
      hidden_dim: H.  internal_dim: I.
      dilation: d, the distance of the convolution's taps.
      initializers: the family of initializers.
    """

    hidden_dim: int
    internal_dim: int
    dilation: int
    initializers: Initializers = DEFAULT

    def setup(self) -> None:
        hidden, inner = self.hidden_dim, self.internal_dim
        self.narrowing_kernel, self.narrowing_bias = self._layer("narrowing", (hidden, inner))
        # The earliest tap first.
        self.kernel, self.bias = self._layer("", (_WIDTH, inner, inner))
        self.widening_kernel, self.widening_bias = self._layer("widening", (inner, hidden))

    def _layer(self, name: str, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
        fan_in, prefix = math.prod(shape[:-1]), name and f"{name}_"
        kernel = self.param(f"{prefix}kernel", self.initializers.dense_kernel(fan_in), shape)
        bias = self.param(f"{prefix}bias", self.initializers.dense_bias(fan_in), shape[-1:])
        return kernel, bias

    def __call__(self, x: jax.Array, num_steps: int, dtype: jnp.dtype) -> jax.Array:
        """Args: x [T·N, H], time first; T; dtype of the products. Returns [T·N, H]."""
        inner = self._narrowed(x, dtype)
        shift = self.dilation * (x.shape[0] // num_steps)
        # A tap that lies before the first word at every position reads zeros alone: none is taken.
        num_taps = min(_WIDTH, 1 + (num_steps - 1) // self.dilation)
        taps = [_later(inner, tap * shift) for tap in reversed(range(num_taps))]
        return x + self._widened(jnp.concatenate(taps, axis=-1), num_taps, dtype)

    def step(self, last: jax.Array, x: jax.Array, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
        """Args: last inputs [B, 2·d, I]; x [B, H]; dtype. Returns the last inputs and [B, H]."""
        inner = self._narrowed(x, dtype).astype(last.dtype)
        window = jnp.concatenate([last, inner[:, None]], axis=1)
        taps = window[:, :: self.dilation].reshape(x.shape[0], -1)
        return window[:, 1:], x + self._widened(taps, _WIDTH, dtype)

    def _narrowed(self, x: jax.Array, dtype: jnp.dtype) -> jax.Array:
        """The convolution's input, [..., I]."""
        return nn.relu(linear(nn.relu(x), self.narrowing_kernel, self.narrowing_bias, dtype))

    def _widened(self, taps: jax.Array, num_taps: int, dtype: jnp.dtype) -> jax.Array:
        """What the block adds, [..., H], of the last taps side by side, [..., num_taps·I]."""
        kernel = self.kernel[_WIDTH - num_taps :].reshape(-1, self.internal_dim)
        convolved = linear(taps, kernel, self.bias, dtype)
        return linear(nn.relu(convolved), self.widening_kernel, self.widening_bias, dtype)


class DilatedCNN(nn.Module):
    """Residual blocks over words and code, concatenated (Yang et al. 2017).

    "Improved Variational Autoencoders for Text Modeling using Dilated Convolutions". An output
    depends on 1 + 2·Σd words, its own position's included, and on the code: the fewer the words,
    the more is left for the code to tell. Dilations of SCNN: 1 2 4; MCNN: 1 2 4 8 16; LCNN: these
    twice; VLCNN: three times; 15, 63, 125 and 187 words.

    A linear map of [embedding, code] to H comes before the first block. Nothing comes after the
    last: the output layer reads the sum itself, of either sign, as an output tied to the embedding
    needs it. There is no dropout inside, so `dropout` is accepted and unused. The code enters
    through a product alone, so there is no initial state, and no metric of one.

    Attributes:
      embedding_dim: E.  hidden_dim: H.  latent_dim: Z; 0 is a language model.
      initializers: the family of initializers.
      dilations: d of every block, each at least 1.
      internal_dim: I; 0 for half of H.
    """

    embedding_dim: int
    hidden_dim: int
    latent_dim: int
    initializers: Initializers = DEFAULT
    dilations: Sizes = (1, 2, 4)
    internal_dim: Count = 0

    def setup(self) -> None:
        family, fan_in = self.initializers, self.embedding_dim + self.latent_dim
        kernel = family.dense_kernel(fan_in)
        self.word_kernel = self.param("word_kernel", kernel, (self.embedding_dim, self.hidden_dim))
        if self.latent_dim:
            self.code_kernel = self.param("code_kernel", kernel, (self.latent_dim, self.hidden_dim))
        self.bias = self.param("bias", family.dense_bias(fan_in), (self.hidden_dim,))
        self.blocks = [
            ResidualBlock(self.hidden_dim, self._inner, dilation, family)
            for dilation in self.dilations
        ]

    @property
    def _inner(self) -> int:
        return self.internal_dim or (self.hidden_dim + 1) // 2

    def start(self, zk: jax.Array, max_length: int) -> Carry:
        """Before the first word every convolution reads zeros.

        Args: zk [B, Z]; max_length, which changes nothing. Returns the carry.
        """
        del max_length
        batch, dtype = zk.shape[0], jnp.promote_types(zk.dtype, jnp.float32)
        return tuple(
            jnp.zeros((batch, (_WIDTH - 1) * dilation, self._inner), dtype)
            for dilation in self.dilations
        )

    def step(self, carry: Carry, embedded: jax.Array, zk: jax.Array) -> tuple[Carry, jax.Array]:
        """One position. Args: carry; embedded [B, E]; zk [B, Z]. Returns carry, output [B, H]."""
        x = product(embedded, self.word_kernel, embedded.dtype) + self._of_code(zk)
        lasts = []
        for block, last in zip(self.blocks, carry, strict=True):
            last, x = block.step(last, x, embedded.dtype)
            lasts.append(last)
        return tuple(lasts), x.astype(embedded.dtype)

    def __call__(self, zk: jax.Array, embedded: jax.Array, *, dropout: Any = None) -> jax.Array:
        """All positions at once.

        Args:
          zk: [..., B, Z]; leading axes are several codes of the same sentences, which share the
            product with the words.
          embedded: [B, T, E], float32 or of lower precision.
          dropout: unused.

        Returns:
          Outputs [..., B, T, H] in the dtype of embedded.
        """
        del dropout
        batch, num_steps, _ = embedded.shape
        rows = jnp.swapaxes(embedded, 0, 1).reshape(num_steps * batch, self.embedding_dim)
        words = product(rows, self.word_kernel, embedded.dtype)
        code = self._of_code(zk)
        shape = (num_steps, *code.shape)
        words = words.reshape(num_steps, *(1,) * (code.ndim - 2), *code.shape[-2:])
        x = jnp.broadcast_to(words, shape) + jnp.broadcast_to(code, shape)
        x = x.reshape(-1, self.hidden_dim)
        for block in self.blocks:
            x = block(x, num_steps, embedded.dtype)
        return jnp.moveaxis(x.astype(embedded.dtype).reshape(shape), 0, -2)

    def _of_code(self, zk: jax.Array) -> jax.Array:
        """The share of the first layer that no word changes, [..., B, H]."""
        shape = (*zk.shape[:-1], self.hidden_dim)
        bias = jnp.broadcast_to(self.bias, shape)
        return zk @ self.code_kernel + bias if self.latent_dim else bias


def _later(rows: jax.Array, shift: int) -> jax.Array:
    """The rows moved down by `shift`, zeros before them."""
    return jnp.pad(rows[: rows.shape[0] - shift], ((shift, 0), (0, 0)))
