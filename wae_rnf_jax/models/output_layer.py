"""The output layer: from a decoder's outputs to the vocabulary.

Letters: B batch, T time steps, V vocabulary, E embedding, H hidden.
"""

import flax.linen as nn
import jax

from wae_rnf_jax.functional.losses import fused_linear_cross_entropy
from wae_rnf_jax.functional.products import transposed
from wae_rnf_jax.models.initializers import DEFAULT, Initializers
from wae_rnf_jax.models.linear import linear, product


class OutputLayer(nn.Module):
    """Logits of outputs, or the NLL of targets under them without holding all logits.

    Attributes:
      vocab_size: V.  embedding_dim: E.  hidden_dim: H.
      tied: the kernel is the decoder's embedding, transposed; where H is not E, a projection from
        H to E stands before it.
      block_size: rows of logits held at once by `nll`.
      dtype: of the product's operands; the sums are float32.
      initializers: the family of initializers.
    """

    vocab_size: int
    embedding_dim: int
    hidden_dim: int
    tied: bool = False
    block_size: int = 256
    dtype: str = "float32"
    initializers: Initializers = DEFAULT

    def setup(self) -> None:
        kernel_init = self.initializers.dense_kernel(self.hidden_dim)
        if not self.tied:
            self.kernel = self.param("kernel", kernel_init, (self.hidden_dim, self.vocab_size))
        elif self.hidden_dim != self.embedding_dim:
            shape = (self.hidden_dim, self.embedding_dim)
            self.projection = self.param("projection", kernel_init, shape)
        bias_init = self.initializers.dense_bias(self.hidden_dim)
        self.bias = self.param("bias", bias_init, (self.vocab_size,))

    def logits(self, outputs: jax.Array, embedding: jax.Array) -> jax.Array:
        """Args: outputs [..., H]; embedding [V, E]. Returns [..., V], float32."""
        outputs, kernel = self.operands(outputs, embedding)
        return linear(outputs, kernel, self.bias, self.dtype)

    def nll(
        self,
        outputs: jax.Array,
        embedding: jax.Array,
        targets: jax.Array,
        where: jax.Array | None = None,
    ) -> jax.Array:
        """Args: outputs [..., T, H]; embedding [V, E]; targets, where [..., T]. Returns [..., T].

        The NLL of each target in nats, 0 where `where` says no; without it, of all targets.
        """
        outputs, kernel = self.operands(outputs, embedding)
        return fused_linear_cross_entropy(
            outputs, kernel, self.bias, targets, block_size=self.block_size, where=where
        )

    def operands(self, outputs: jax.Array, embedding: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What is multiplied: of outputs [..., H] and embedding [V, E], [..., F] and [F, V]."""
        if not self.tied:
            return outputs, self.kernel.astype(self.dtype)
        if self.hidden_dim != self.embedding_dim:
            outputs = product(outputs, self.projection, outputs.dtype).astype(outputs.dtype)
        return outputs, transposed(embedding.astype(self.dtype))
