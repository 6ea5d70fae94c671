"""Cross entropy of a linear output layer, computed in blocks of rows.

Shape letters: N rows (sentences × time steps), H hidden, V vocabulary. Inside, rows are given in
blocks: hidden [blocks, rows, H], targets, masks and cotangents [blocks, rows].
"""

import functools
from collections.abc import Callable
from typing import TypeVar

import chex
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional._arrays import (
    assert_floating,
    assert_integer,
    assert_mask,
    match_varying,
    widened_integers,
)
from wae_rnf_jax.functional.products import matmul, transposed

Sums = TypeVar("Sums")

# Row counts of a block are multiples of this, so that accelerators need not pad the tiles.
_ROW_MULTIPLE = 8
# The last block has one of so many sizes, which are so many rows apart or more: one is run, but all
# are compiled.
_LAST_BLOCK_SIZES, _LAST_BLOCK_STEP = 4, 32


def fused_linear_cross_entropy(
    hidden: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    targets: jax.Array,
    *,
    block_size: int,
    where: jax.Array | None = None,
) -> jax.Array:
    """Cross entropy of a linear output layer, without ever holding all the logits.

    Equals −log_softmax(hidden @ kernel + bias)[targets], but works through the rows in blocks,
    forward and backward, and never holds more than block_size × V logits. The forward pass keeps
    one number a row, log Σ exp(logits), for the backward pass, which forms each block's logits
    again and adds up the kernel's gradient as it goes. Without differentiation nothing is kept.

    With `where`, differentiation takes a shorter way: a loss that sums or averages the tokens that
    count gives all of them the same cotangent, so the forward pass, while it has a block's logits,
    computes the gradient for a cotangent of one, and the backward pass only scales it. That saves
    one of four matrix products. If the cotangents turn out to differ, the backward pass computes
    the gradient as it does without `where`. The rows that count are brought together, and the last
    block is made a quarter, a half or three quarters of the others' size where that is enough, so
    that padding costs less than a quarter of a block.

    The logits are a layer's output and not an estimator, so their products run at the backend's
    default matmul precision; they are accumulated, and normalized, in at least float32.

    Works under `jax.jit`, `jax.vmap`, `jax.pmap`, `jax.shard_map` and in reverse mode (`jax.grad`),
    with `where` to first order; there is no forward mode (`jax.jvp`). Leading axes are flattened
    into rows: pass [S, B, T, H] rather than using `jax.vmap` where a gradient is wanted, because
    vmap holds one kernel gradient for each of its examples.

    Args:
      hidden: floating [..., H].
      kernel: floating [H, V].
      bias: floating [V].
      targets: integer [...], ids in [0, V); of a token that counts, any other has an nll of NaN.
      block_size: most rows whose logits are held at a time.
      where: bool [...], tokens that count; the others get an nll of 0 and no gradient, and give
        none, whatever they hold.

    Returns:
      [...], negative log-likelihood of each target in nats; float64 for float64 inputs, else
      float32.

    Raises:
      ValueError: `block_size` is below 1.
      AssertionError: wrong dtypes, ranks or sizes.

    >>> nll = fused_linear_cross_entropy(
    ...     jnp.ones((2, 3)), jnp.zeros((3, 4)), jnp.zeros(4), jnp.array([0, 3]), block_size=1)
    >>> [round(value, 4) for value in nll.tolist()]
    [1.3863, 1.3863]
    """
    _check_inputs(hidden, kernel, bias, targets, block_size, where)
    # A negative id would count from the end: as one above all classes it has no logit, but NaN.
    targets = jnp.where(targets < 0, kernel.shape[1], widened_integers(targets))
    # Marked alike outside the custom gradient, so that JAX itself sums a replicated kernel's
    # gradient over the devices of a shard_map.
    inputs = (hidden, kernel, bias, targets) + (() if where is None else (where,))
    hidden, kernel, bias, targets, *masks = (match_varying(array, *inputs) for array in inputs)

    rows = _rows_of_a_block(targets.size, block_size)
    num_rows, shape = targets.size, targets.shape
    hidden, targets = hidden.reshape(num_rows, kernel.shape[0]), targets.ravel()
    if not masks:
        blocks = _in_blocks(rows, hidden, targets)
        return _nll(blocks[0], kernel, bias, blocks[1]).ravel()[:num_rows].reshape(shape)
    order = jnp.argsort(~masks[0].ravel(), stable=True)
    blocks = _in_blocks(rows, hidden[order], targets[order], masks[0].ravel()[order])
    nll = _masked_nll(blocks[0], kernel, bias, *blocks[1:])
    return nll.ravel()[jnp.argsort(order)].reshape(shape)


def _rows_of_a_block(num_rows: int, block_size: int) -> int:
    """At most block_size; equal blocks leave fewer rows of padding than full ones do."""
    num_blocks = max(1, -(-num_rows // block_size))
    rows = -(-num_rows // (num_blocks * _ROW_MULTIPLE)) * _ROW_MULTIPLE
    return max(1, min(rows, block_size))


def _in_blocks(rows: int, *arrays: jax.Array) -> list[jax.Array]:
    """Pads each array with zeros and splits it: [N, ...] to [blocks, rows, ...]."""
    num_rows = arrays[0].shape[0]
    num_blocks = max(1, -(-num_rows // rows))
    padding = num_blocks * rows - num_rows
    return [
        jnp.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1)).reshape(num_blocks, rows, *x.shape[1:])
        for x in arrays
    ]


@jax.custom_vjp
def _nll(hidden: jax.Array, kernel: jax.Array, bias: jax.Array, targets: jax.Array) -> jax.Array:
    return _nll_forward(hidden, kernel, bias, targets)[0]


def _nll_forward(hidden, kernel, bias, targets):
    def block_nll(block):
        block_hidden, block_targets = block
        logits = _logits(block_hidden, kernel, bias)
        log_normalizer = jax.nn.logsumexp(logits, axis=-1)
        return log_normalizer - _at_target(logits, block_targets), log_normalizer

    nll, log_normalizer = jax.lax.map(block_nll, (hidden, targets))
    return nll, (hidden, kernel, bias, targets, log_normalizer)


def _nll_backward(residuals, cotangent):
    hidden, kernel, bias, targets, log_normalizer = residuals
    to_hidden = transposed(kernel)

    def add_block(gradients, block):
        block_hidden, block_targets, block_normalizer, block_cotangent = block
        logits = _logits(block_hidden, kernel, bias)
        probabilities = jnp.exp(logits - block_normalizer[:, None])
        return _add_gradients(
            gradients,
            probabilities,
            jnp.ones_like(block_normalizer),
            block_hidden,
            to_hidden,
            block_targets,
            block_cotangent,
        )

    (kernel_gradient, bias_gradient), hidden_gradient = jax.lax.scan(
        add_block,
        _zero_gradients(kernel, bias, cotangent),
        (hidden, targets, log_normalizer, cotangent),
    )
    return (
        hidden_gradient.astype(hidden.dtype),
        kernel_gradient.astype(kernel.dtype),
        bias_gradient.astype(bias.dtype),
        None,
    )


_nll.defvjp(_nll_forward, _nll_backward)


@jax.custom_vjp
def _masked_nll(
    hidden: jax.Array, kernel: jax.Array, bias: jax.Array, targets: jax.Array, where: jax.Array
) -> jax.Array:
    """The rows that count must come first."""

    def add_rows(i: jax.Array, nll: jax.Array, *, rows: int) -> jax.Array:
        logits = _logits(hidden[i, :rows], kernel, bias)
        values = jax.nn.logsumexp(logits, axis=-1) - _at_target(logits, targets[i, :rows])
        return nll.at[i, :rows].set(jnp.where(where[i, :rows], values, 0.0))

    nll = jnp.zeros_like(hidden[..., 0], _accumulator(hidden, kernel))
    return _over_counted_rows(add_rows, nll, where)


def _masked_nll_forward(hidden, kernel, bias, targets, where):
    """Also the gradients of the sum of the result."""
    # What a row that does not count holds would reach the kernel's gradient, as 0·NaN is NaN.
    hidden = jnp.where(where[..., None], hidden, 0.0)
    to_hidden = transposed(kernel)

    def add_rows(i, sums, *, rows):
        gradients, nll, log_normalizer, hidden_gradient = sums
        block_hidden, block_targets, counts = (x[i, :rows] for x in (hidden, targets, where))
        logits = _logits(block_hidden, kernel, bias)
        maximum = logits.max(axis=-1)
        exponentials = jnp.exp(logits - maximum[:, None])
        normalizer = exponentials.sum(axis=-1)
        block_log_normalizer = maximum + jnp.log(normalizer)
        block_nll = block_log_normalizer - _at_target(logits, block_targets)
        gradients, block_hidden_gradient = _add_gradients(
            gradients,
            exponentials,
            1 / normalizer,
            block_hidden,
            to_hidden,
            block_targets,
            counts.astype(logits.dtype),
        )
        return (
            gradients,
            nll.at[i, :rows].set(jnp.where(counts, block_nll, 0.0)),
            log_normalizer.at[i, :rows].set(block_log_normalizer),
            hidden_gradient.at[i, :rows].set(block_hidden_gradient),
        )

    zeros = jnp.zeros_like(hidden, _accumulator(hidden, kernel))
    start = (
        _zero_gradients(kernel, bias, zeros),
        zeros[..., 0],
        zeros[..., 0] + jnp.inf,  # of rows that no block has: probabilities of 0
        zeros,
    )
    gradients, nll, log_normalizer, hidden_gradient = _over_counted_rows(add_rows, start, where)
    unit_gradients = (hidden_gradient, *gradients)
    return nll, (hidden, kernel, bias, targets, log_normalizer, where, unit_gradients)


def _masked_nll_backward(residuals, cotangent):
    *recompute, where, unit_gradients = residuals
    hidden, kernel, bias, *_ = recompute
    cotangent = jnp.where(where, cotangent, 0.0)
    scale = cotangent.ravel()[jnp.argmax(where)]

    def scaled():
        return tuple(
            (scale * unit).astype(primal.dtype)
            for unit, primal in zip(unit_gradients, (hidden, kernel, bias), strict=True)
        )

    def recomputed():
        return _nll_backward(tuple(recompute), cotangent)[:3]

    uniform = jnp.all(jnp.where(where, cotangent == scale, True))
    return (*jax.lax.cond(uniform, scaled, recomputed), None, None)


_masked_nll.defvjp(_masked_nll_forward, _masked_nll_backward)


def _over_counted_rows(add_rows: Callable[..., Sums], sums: Sums, where: jax.Array) -> Sums:
    """Runs over the whole blocks of rows that count, and a shorter one of those left.

    Args:
      add_rows: adds the first rows of a block: (block, sums, *, rows) -> sums.
      sums: what to start from.
      where: [blocks, rows], the rows that count first.
    """
    num_blocks, size = where.shape
    num_rows = where.sum()
    add_block = functools.partial(add_rows, rows=size)
    num_sizes = max(1, min(size // _LAST_BLOCK_STEP, _LAST_BLOCK_SIZES))
    if num_sizes == 1:
        return jax.lax.fori_loop(0, -(-num_rows // size), add_block, sums)
    num_whole = num_rows // size
    sums = jax.lax.fori_loop(0, num_whole, add_block, sums)
    step = -(-size // (num_sizes * _ROW_MULTIPLE)) * _ROW_MULTIPLE
    sizes = [min(rows, size) for rows in range(step, size + step, step)]
    last = jnp.minimum(num_whole, num_blocks - 1)  # where no row is left, none is read
    branches = [functools.partial(add_rows, last, rows=rows) for rows in sizes]
    num_steps = -(-(num_rows - num_whole * size) // step)
    return jax.lax.switch(num_steps, [lambda sums: sums, *branches], sums)


def _accumulator(hidden: jax.Array, kernel: jax.Array) -> jnp.dtype:
    return jnp.result_type(hidden, kernel, jnp.float32)


def _zero_gradients(
    kernel: jax.Array, bias: jax.Array, like: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Start of the sums for kernel and bias, in the dtype of the logits."""
    return jnp.zeros_like(kernel, like.dtype), jnp.zeros_like(bias, like.dtype)


def _add_gradients(gradients, weights, scale, hidden, to_hidden, targets, cotangent):
    """Adds a block's part to the gradients of kernel and bias; returns that of its own rows.

    The classes' probabilities are weights [rows, V] times scale [rows]; to_hidden [V, H] is the
    kernel transposed.
    """
    kernel_gradient, bias_gradient = gradients
    # A comparison, which fuses with the exponential; a scatter would copy the block.
    classes = jax.lax.broadcasted_iota(targets.dtype, weights.shape, 1)
    one_hot = jnp.where(classes == targets[:, None], cotangent[:, None], 0.0)
    error = weights * (scale * cotangent)[:, None] - one_hot
    # Below 6e-8 float16 is 0, as the mean of many tokens makes of most errors; bfloat16 is not.
    operand = jnp.result_type(hidden, to_hidden)
    operand = error.astype(jnp.float32 if operand == jnp.float16 else operand)
    kernel_gradient += matmul(transposed(hidden), operand)
    bias_gradient += error.sum(axis=0)
    return (kernel_gradient, bias_gradient), matmul(operand, to_hidden)


def _at_target(logits: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]


def _logits(hidden: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    logits = matmul(hidden, kernel)
    return logits + bias.astype(logits.dtype)[None, :]


def _check_inputs(
    hidden: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    targets: jax.Array,
    block_size: int,
    where: jax.Array | None,
) -> None:
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}.")
    assert_floating(hidden=hidden, kernel=kernel, bias=bias)
    assert_integer(targets=targets)
    chex.assert_rank([kernel, bias], [2, 1])
    chex.assert_shape(bias, (kernel.shape[1],))
    chex.assert_shape(hidden, (*targets.shape, kernel.shape[0]))
    if where is not None:
        assert_mask(where, targets.shape)
