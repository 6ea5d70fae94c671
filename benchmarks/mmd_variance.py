"""How much the MMD's estimate varies within groups of rows: `train.mmd_group`.

    python -m benchmarks.mmd_variance [--num_rows=128] [--num_draws=2000]

Draws batches of codes and of the prior (Z = 32), and takes the mean and the standard deviation of
the estimate over them: of codes that have the prior's distribution, and of codes that are narrower.
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks import measurement
from wae_rnf_jax import mmd_squared_in_groups, multi_scale_imq_kernel

LATENT_DIM = 32
SCALES = {"the prior's distribution": 1.0, "half the prior's deviation": 0.5}


@partial(jax.jit, static_argnames=("num_rows", "group_size"))
def estimates(keys: jax.Array, scale: jax.Array, *, num_rows: int, group_size: int) -> jax.Array:
    """MMD² of a batch for each key [N]: [N]."""

    def estimate(key: jax.Array) -> jax.Array:
        codes, prior = jax.random.normal(key, (2, num_rows, LATENT_DIM))
        kernel = multi_scale_imq_kernel
        return mmd_squared_in_groups(scale * codes, prior, kernel=kernel, group_size=group_size)

    return jax.lax.map(estimate, keys, batch_size=16)


def main(argv: list[str] | None = None) -> int:
    flags = measurement.parser(__doc__.splitlines()[0])
    flags.add_argument("--num_rows", type=int, default=128)
    flags.add_argument("--num_draws", type=int, default=2000)
    arguments = flags.parse_args(argv)
    if arguments.smoke:
        arguments.num_rows, arguments.num_draws = 16, 32
    keys = jax.random.split(jax.random.key(0), arguments.num_draws)
    sizes = [arguments.num_rows >> k for k in range(5) if arguments.num_rows >> k >= 4]
    rows = []
    for name, scale in SCALES.items():
        whole = None
        for size in sizes:
            found = estimates(keys, scale, num_rows=arguments.num_rows, group_size=size)
            deviation = float(jnp.std(found))
            whole = whole or deviation
            rows.append(
                {
                    "codes": name,
                    "rows of a group": size,
                    "mean": float(jnp.mean(found)),
                    "standard deviation": deviation,
                    "times that of all rows": deviation / whole,
                }
            )
    note = f"{arguments.num_rows} rows, Z {LATENT_DIM}, {arguments.num_draws} batches"
    measurement.report("MMD in groups", rows, notes=[note], output=arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
