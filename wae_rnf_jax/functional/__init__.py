"""Pure functions of arrays: jax, NumPy for constants, and chex for assertions, nothing else.

Every function is usable under ``jax.jit``, ``jax.vmap``, ``jax.pmap`` and inside ``jax.shard_map``
with its default checks, and is differentiable in its floating arguments, forward and in reverse;
but for ``geodesic``, which has no reverse mode (``jax.grad``), and ``fused_linear_cross_entropy``,
which has no forward mode (``jax.jvp``). The public ones are listed once, in ``wae_rnf_jax``.

Half precision: float16 and bfloat16 arrays are read as float32 and computed with in float32. What
maps or draws points, features or states returns them in the dtype of its arguments; whatever is
summed, averaged or counted on the way, such as log-densities, distances, kernels, metrics, centers
and losses, is returned in float32. A decoder is given float32 codes.

Wrong input: AssertionError for what an array is (rank, shape, dtype), ValueError for what it holds
or a setting says.

Random keys: typed ones of any generator, and raw ones (``jax.random.PRNGKey``) where one key is
asked for. Noise that belongs to an example is drawn by threefry whatever the key's generator.
"""
