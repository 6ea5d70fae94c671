"""A stack of flow steps as a module: the parameters of the pure functions in `functional.flows`.

Letters: K flow steps, Z latent.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from wae_rnf_jax.functional.flows import FLOWS, chain_inverse_and_log_det, chain_trajectory


class FlowStack(nn.Module):
    """K steps of one kind of flow, shared by all sentences.

    Attributes:
      kind: a name in `functional.flows.FLOWS`.
      num_steps: K; 0 is the identity.
      dim: Z.
    """

    kind: str
    num_steps: int
    dim: int

    def setup(self) -> None:
        if self.num_steps:
            self.steps = self.param("steps", self._init)

    def _init(self, key: jax.Array) -> dict[str, jax.Array]:
        keys = jax.random.split(key, self.num_steps)
        steps = [FLOWS[self.kind].init(step_key, self.dim) for step_key in keys]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)

    def trajectory(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: z [..., Z]. Returns points [K+1, ..., Z] and log-dets [K, ...]."""
        if not self.num_steps:
            return z[None], jnp.zeros((0, *z.shape[:-1]), z.dtype)
        return chain_trajectory(FLOWS[self.kind].forward, self.steps, z)

    def __call__(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: z [..., Z]. Returns zk [..., Z] and the summed log-det [...]."""
        points, log_dets = self.trajectory(z)
        return points[-1], log_dets.sum(0)

    def inverse(self, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Args: y [..., Z]. Returns z [..., Z] and log|det ∂z/∂y| [...]."""
        if not self.num_steps:
            return y, jnp.zeros(y.shape[:-1], y.dtype)
        return chain_inverse_and_log_det(FLOWS[self.kind].inverse, self.steps, y)
