"""Pure functions of arrays: jax, NumPy for constants, and chex for assertions, nothing else.

Every function is usable under ``jax.jit``, ``jax.vmap``, ``jax.grad``, ``jax.pmap`` and inside
``jax.shard_map`` with its default checks. The public ones are listed once, in ``wae_rnf_jax``.
"""
