from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_cases import DIM, draw

import wae_rnf_jax as wae


@pytest.mark.parametrize("flow", wae.FLOWS)
@pytest.mark.usefixtures("x64")
def test_a_chain_is_its_steps_in_turn(flow):
    forward, inverse, init = wae.FLOWS[flow]
    init = jax.jit(init, static_argnums=1)
    steps = [init(jax.random.key(seed), DIM) for seed in range(3)]
    steps = [jax.tree.map(lambda leaf: 1.1 * np.asarray(leaf), step) for step in steps]
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    z = jnp.asarray(draw(9, 2, 3, DIM))
    actual, total = jax.jit(partial(wae.chain_forward_and_log_det, forward))(params, z)
    trajectory, step_log_dets = jax.jit(partial(wae.chain_trajectory, forward))(params, z)
    points, log_dets, step_forward = [z], [], jax.jit(forward)
    for step in steps:
        point, log_det = step_forward(step, points[-1])
        points.append(point)
        log_dets.append(log_det)
    np.testing.assert_allclose(actual, points[-1], rtol=1e-12)
    np.testing.assert_allclose(total, sum(log_dets), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trajectory, np.stack(points), rtol=1e-12)
    np.testing.assert_allclose(step_log_dets, np.stack(log_dets), rtol=1e-10, atol=1e-12)
    back, back_log_det = jax.jit(partial(wae.chain_inverse_and_log_det, inverse))(params, actual)
    np.testing.assert_allclose(back, z, rtol=0, atol=1e-10)
    np.testing.assert_allclose(back_log_det, -total, rtol=0, atol=1e-10)


def test_a_chain_of_unequal_stacks_is_refused():
    params = wae.radial_identity_params(jax.random.key(0), DIM)
    stacked = {name: jnp.stack([leaf] * 2) for name, leaf in params.items()}
    stacked["alpha_raw"] = jnp.ones([3])
    for function in (wae.chain_forward_and_log_det, wae.chain_trajectory):
        with pytest.raises(AssertionError):
            function(wae.radial_forward_and_log_det, stacked, jnp.ones([2, DIM]))
