"""Pure functions of arrays: jax, NumPy for constants, and chex for assertions, nothing else.

Every function is usable under ``jax.jit``, ``jax.vmap``, ``jax.grad``, ``jax.pmap`` and inside
``jax.shard_map`` with its default checks. The public ones are listed once, in ``wae_rnf_jax``.

Half precision: float16 and bfloat16 arrays are read as float32 and computed with in float32. What
maps or draws points, features or states returns them in the dtype of its arguments; whatever is
summed, averaged or counted on the way, such as log-densities, distances, kernels, metrics, centres
and losses, is returned in float32. A decoder is given float32 codes.
"""
