"""Where a training step's time goes: its pieces alone, at one batch's shapes.

python -m benchmarks.pieces [--batch_size=32] [--num_words=22] [--output=FILE.json]

Pieces inside a step overlap and fuse, so that their sum is a guide and not the step's time; each
is forward and backward unless its name says otherwise.
"""

import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from benchmarks import measurement, workload
from benchmarks.workload import Sizes
from wae_rnf_jax.commands.memory import keep_freed_memory
from wae_rnf_jax.functional.cross_entropy import fused_linear_cross_entropy
from wae_rnf_jax.functional.dropout import example_dropout
from wae_rnf_jax.models.lstm import LSTM

BLOCK_SIZES = (64, 128, 256, 512)
_SHARE_THAT_COUNTS = 0.9  # about what ten lengths leave of Penn Treebank


def jitted(function: Callable, *arguments: jax.Array) -> Callable:
    """Returns the compiled function, its arguments given, that waits for its result."""
    compiled = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


def output_layer(size: Sizes, rows: int, blocks: Sequence[int]) -> dict[str, Callable]:
    """The products of the output layer, and the cross entropy by block size."""
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (rows, size.hidden_dim))
    kernel = 0.05 * jax.random.normal(keys[1], (size.hidden_dim, size.vocab_size))
    bias = jnp.zeros(size.vocab_size)
    targets = jax.random.randint(keys[2], (rows,), 0, size.vocab_size)
    where = jnp.arange(rows) < _SHARE_THAT_COUNTS * rows
    logits = hidden @ kernel

    def loss(block: int) -> Callable:
        return lambda hidden, kernel, bias: fused_linear_cross_entropy(
            hidden, kernel, bias, targets, block_size=block, where=where
        ).sum()

    exponentials = jitted(lambda x: jnp.exp(x - x.max(-1, keepdims=True)).sum(-1), logits)
    return {
        "output layer: product forward": jitted(jnp.matmul, hidden, kernel),
        "output layer: kernel's gradient": jitted(lambda x, y: x.T @ y, hidden, logits),
        "output layer: hidden's gradient": jitted(lambda x, y: x @ y.T, logits, kernel),
        "exponentials and their sums, forward": exponentials,
        "cross entropy, forward": jitted(loss(256), hidden, kernel, bias),
        **{
            f"cross entropy, blocks of {block}": jitted(
                jax.value_and_grad(loss(block), (0, 1, 2)), hidden, kernel, bias
            )
            for block in blocks
        },
    }


def recurrent_layers(size: Sizes, batch: int, steps: int) -> dict[str, Callable]:
    """One LSTM, and the dropout of its inputs."""
    keys = jax.random.split(jax.random.key(0), 3)
    inputs = jax.random.normal(keys[0], (batch, steps, size.embedding_dim))
    weights = jax.random.normal(keys[1], (batch, steps, size.hidden_dim))
    lstm = LSTM(size.hidden_dim, size.embedding_dim)
    carry = (jnp.zeros((batch, size.hidden_dim)),) * 2
    variables = lstm.init(keys[2], carry, inputs)

    def loss(variables, inputs: jax.Array) -> jax.Array:
        return (lstm.apply(variables, carry, inputs)[1] * weights).sum()

    example_keys = jax.random.split(keys[2], batch)
    return {
        "LSTM, forward": jitted(loss, variables, inputs),
        "LSTM": jitted(jax.value_and_grad(loss, (0, 1)), variables, inputs),
        "dropout, forward": jitted(
            lambda x: example_dropout(example_keys, x, rate=size.dropout), inputs
        ),
    }


def parameters(size: Sizes, batch: int, steps: int) -> dict[str, Callable]:
    """Adam with clipping over the large parameters, and the embedding's gradient."""
    embedding = jnp.ones((size.vocab_size, size.embedding_dim))
    params = {
        "embedding": embedding,
        "output": jnp.ones((size.hidden_dim, size.vocab_size)),
        "bias": jnp.ones(size.vocab_size),
        "lstm": jnp.ones((4, size.hidden_dim, 4 * size.hidden_dim)),
    }
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(1e-3))

    def update(params, state):
        updates, state = optimizer.update(params, state, params)
        return optax.apply_updates(params, updates), state

    words = jax.random.randint(jax.random.key(0), (batch, steps), 0, size.vocab_size)
    return {
        "Adam with clipping": jitted(update, params, optimizer.init(params)),
        "embedding": jitted(jax.grad(lambda x: jnp.square(x[words]).sum()), embedding),
    }


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--batch_size", type=int, default=32)
    flags.add_argument("--num_words", type=int, default=22)
    arguments = flags.parse_args(argv)
    keep_freed_memory()
    size, batch = workload.sizes(arguments.smoke), arguments.batch_size
    steps = arguments.num_words + 1
    blocks = BLOCK_SIZES[-1:] if arguments.smoke else (*BLOCK_SIZES, batch * steps)
    candidates = {
        **output_layer(size, batch * steps, blocks),
        **recurrent_layers(size, batch, steps),
        **parameters(size, batch, steps),
    }
    samples = measurement.interleaved(candidates, repetitions=arguments.repetitions)
    rows = [
        {"piece": name, "ms": 1e3 * taken.seconds, "cpu ms": 1e3 * taken.cpu_seconds}
        for name, taken in samples.items()
    ]
    note = f"B {batch}, T {steps}, V {size.vocab_size}; {_SHARE_THAT_COUNTS:.0%} of the rows count"
    measurement.report("Pieces of a step", rows, notes=[note], output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
