"""Cross entropy of a linear output layer, computed in blocks of rows.

Shape letters: N rows (sentences × time steps), H hidden, V vocabulary.
"""

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import match_varying

# Row counts of a block are multiples of this, so that accelerators need not pad the tiles.
_ROW_MULTIPLE = 8


def fused_linear_cross_entropy(
    hidden: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    targets: jax.Array,
    *,
    block_size: int,
) -> jax.Array:
    """Cross entropy of a linear output layer, without ever holding all the logits.

    Equals −log_softmax(hidden @ kernel + bias)[targets], but works through the rows in blocks,
    forward and backward, and never holds more than block_size × V logits. The forward pass keeps
    one number a row, log Σ exp(logits), for the backward pass, which forms each block's logits
    again and adds up the kernel's gradient as it goes. Without differentiation nothing is kept.

    The logits are a layer's output and not an estimator, so their products run at the backend's
    default matmul precision; they are accumulated, and normalised, in at least float32. Reverse
    mode only. Leading axes are flattened into rows: pass [S, B, T, H] rather than using `jax.vmap`
    where a gradient is wanted, because vmap holds one kernel gradient for each of its examples.

    Args:
      hidden: floating [..., H].
      kernel: floating [H, V].
      bias: floating [V].
      targets: integer [...], ids in [0, V).
      block_size: most rows whose logits are held at a time.

    Returns:
      [...], negative log-likelihood of each target in nats; float64 for float64 inputs, else
      float32.

    Raises:
      ValueError: `block_size` is below 1.
      TypeError, AssertionError: wrong dtypes, ranks or sizes.

    >>> nll = fused_linear_cross_entropy(
    ...     jnp.ones((2, 3)), jnp.zeros((3, 4)), jnp.zeros(4), jnp.array([0, 3]), block_size=1)
    >>> [round(value, 4) for value in nll.tolist()]
    [1.3863, 1.3863]
    """
    _check_linear_cross_entropy(hidden, kernel, bias, targets, block_size)
    shape, num_rows = targets.shape, targets.size
    num_blocks = max(1, -(-num_rows // block_size))
    # Equal blocks of at most block_size rows leave fewer rows of padding than full ones do.
    rows = -(-num_rows // (num_blocks * _ROW_MULTIPLE)) * _ROW_MULTIPLE
    rows = max(1, min(rows, block_size))
    num_blocks = max(1, -(-num_rows // rows))
    padding = num_blocks * rows - num_rows

    # Marked alike outside the custom gradient, so that JAX itself sums a replicated kernel's
    # gradient over the devices.
    inputs = hidden, kernel, bias, targets
    hidden, kernel, bias, targets = (match_varying(array, *inputs) for array in inputs)
    features = kernel.shape[0]
    hidden = jnp.pad(hidden.reshape(num_rows, features), ((0, padding), (0, 0)))
    targets = jnp.pad(targets.reshape(num_rows), (0, padding))
    nll = _blocks_nll(
        hidden.reshape(num_blocks, rows, features),
        kernel,
        bias,
        targets.reshape(num_blocks, rows),
    )
    return nll.reshape(-1)[:num_rows].reshape(shape)


@jax.custom_vjp
def _blocks_nll(
    hidden: jax.Array, kernel: jax.Array, bias: jax.Array, targets: jax.Array
) -> jax.Array:
    """Negative log-likelihood [blocks, rows] of rows given in blocks [blocks, rows, H]."""
    return _blocks_nll_forward(hidden, kernel, bias, targets)[0]


def _blocks_nll_forward(hidden, kernel, bias, targets):
    def block_nll(block):
        block_hidden, block_targets = block
        logits = _logits(block_hidden, kernel, bias)
        log_normalizer = jax.nn.logsumexp(logits, axis=-1)
        target_logits = jnp.take_along_axis(logits, block_targets[:, None], axis=-1)
        return log_normalizer - target_logits[:, 0], log_normalizer

    nll, log_normalizer = jax.lax.map(block_nll, (hidden, targets))
    return nll, (hidden, kernel, bias, targets, log_normalizer)


def _blocks_nll_backward(residuals, cotangent):
    hidden, kernel, bias, targets, log_normalizer = residuals

    def add_block(gradients, block):
        kernel_gradient, bias_gradient = gradients
        block_hidden, block_targets, block_normalizer, block_cotangent = block
        logits = _logits(block_hidden, kernel, bias)
        probabilities = jnp.exp(logits - block_normalizer[:, None])
        # A comparison, which fuses with the exponential; a scatter would copy the block.
        classes = jax.lax.broadcasted_iota(targets.dtype, logits.shape, 1)
        one_hot = (classes == block_targets[:, None]).astype(logits.dtype)
        error = (probabilities - one_hot) * block_cotangent[:, None]
        narrow = error.astype(jnp.result_type(hidden, kernel))
        kernel_gradient += _accumulated_matmul(block_hidden.T, narrow)
        bias_gradient += error.sum(axis=0)
        hidden_gradient = _accumulated_matmul(narrow, kernel.T)
        return (kernel_gradient, bias_gradient), hidden_gradient.astype(hidden.dtype)

    wide = cotangent.dtype
    start = jnp.zeros_like(kernel, dtype=wide), jnp.zeros_like(bias, dtype=wide)
    (kernel_gradient, bias_gradient), hidden_gradient = jax.lax.scan(
        add_block, start, (hidden, targets, log_normalizer, cotangent)
    )
    return (
        hidden_gradient,
        kernel_gradient.astype(kernel.dtype),
        bias_gradient.astype(bias.dtype),
        None,
    )


_blocks_nll.defvjp(_blocks_nll_forward, _blocks_nll_backward)


def _logits(hidden: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    logits = _accumulated_matmul(hidden, kernel)
    return logits + bias.astype(logits.dtype)[None, :]


def _accumulated_matmul(x: jax.Array, y: jax.Array) -> jax.Array:
    """Matrix product accumulated and returned in float32, or in float64 for float64 inputs."""
    return jnp.matmul(x, y, preferred_element_type=jnp.result_type(x, y, jnp.float32))


def _check_linear_cross_entropy(hidden, kernel, bias, targets, block_size) -> None:
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}.")
    for name, array in (("hidden", hidden), ("kernel", kernel), ("bias", bias)):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{name} must be floating, got {array.dtype}.")
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"targets must be integer, got {targets.dtype}.")
    chex.assert_rank([kernel, bias], [2, 1])
    chex.assert_shape(bias, (kernel.shape[1],))
    chex.assert_shape(hidden, (*targets.shape, kernel.shape[0]))
