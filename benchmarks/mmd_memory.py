"""Memory and communication of a large global MMD², read from the compiled program.

    python -m benchmarks.mmd_memory

compiles value and gradient of the statistic over 16,384 codes of 32 dimensions, on 1 and on 8
devices, at once and in blocks of 256, and shows one device's temporary memory and collectives.
Nothing is run.
"""

import os

# Read by jax when it is first imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from benchmarks.communication import traffic
from wae_rnf_jax import mmd_squared_unbiased, multi_scale_imq_kernel

CODES, DIM = 16_384, 32


def compiled(num_devices: int, block_size: int):
    """Value and gradient by the codes x, over the devices."""
    estimate = partial(
        mmd_squared_unbiased,
        kernel=multi_scale_imq_kernel,
        axis_name="devices",
        block_size=block_size,
    )
    mesh = Mesh(np.array(jax.local_devices()[:num_devices]), ("devices",))
    rows = PartitionSpec("devices")
    mapped = jax.shard_map(
        jax.value_and_grad(estimate),
        mesh=mesh,
        in_specs=(rows, rows),
        out_specs=(PartitionSpec(), rows),
    )
    sample = jax.ShapeDtypeStruct((CODES, DIM), jnp.float32)
    return jax.jit(mapped).lower(sample, sample).compile()


def main() -> None:
    print("| D | block | temporary memory, MiB | collectives |")
    print("| ---: | ---: | ---: | --- |")
    for num_devices in (1, 8):
        for block_size in (CODES, 256):
            program = compiled(num_devices, block_size)
            size = program.memory_analysis().temp_size_in_bytes / 2**20
            numbers, _ = traffic(program.as_text(), num_devices)
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(numbers.items()))
            block = "all" if block_size == CODES else block_size
            print(f"| {num_devices} | {block} | {size:,.1f} | {kinds} |", flush=True)


if __name__ == "__main__":
    main()
