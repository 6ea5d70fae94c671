"""Statistics over the valid rows of the global batch, and the bound that BN-VAE holds."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wae_rnf_jax as wr
from wae_rnf_jax.functional.batch_norm import batch_moments
from wae_rnf_jax.models.posteriors import GaussianPosterior

B, Z, GAMMA = 8, 3, 0.6
WHERE = jnp.array([1, 1, 0, 1, 1, 0, 1, 1], bool)


class BatchNormalizedMeanTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True)
    def test_means_have_the_scale_and_the_shift(self):
        means = 5 * jax.random.normal(jax.random.key(0), (B, Z)) + 2
        shift = jnp.array([0.5, -1.0, 0.0])
        normalized = self.variant(
            lambda x: wr.batch_normalized_mean(x, scale=GAMMA, shift=shift, where=WHERE)
        )(means)
        rows = np.asarray(normalized)[np.asarray(WHERE)]
        np.testing.assert_allclose(rows.mean(0), shift, atol=1e-6)
        np.testing.assert_allclose(rows.std(0), GAMMA, rtol=1e-4)
        np.testing.assert_allclose(normalized[~WHERE], np.broadcast_to(shift, (2, Z)), atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 100.0])
def test_the_kl_is_bounded_below_at_any_parameters(scale):
    """Even where the raw means hardly differ, and however the shift and the variances are."""
    keys = jax.random.split(jax.random.key(1), 3)
    raw = scale * jax.random.normal(keys[0], (B, Z)) + 3
    shift, log_var = jax.random.normal(keys[1], (Z,)), jax.random.normal(keys[2], (B, Z))
    means = wr.batch_normalized_mean(raw, scale=GAMMA, shift=shift)
    var = batch_moments(raw)[1]
    bound = 0.5 * GAMMA**2 * (var / (var + 1e-5)).sum()
    at_best = wr.gaussian_kl(wr.batch_normalized_mean(raw, scale=GAMMA, shift=0 * shift), 0 * raw)
    assert wr.gaussian_kl(means, log_var).mean() >= bound - 1e-5
    np.testing.assert_allclose(at_best.mean(), bound, rtol=1e-3, atol=1e-6)


def test_rows_that_do_not_count_change_neither_value_nor_gradient():
    means, shift = jax.random.normal(jax.random.key(2), (B, Z)), jnp.zeros(Z)
    weights = jax.random.normal(jax.random.key(3), (B, Z))

    def total(x):
        y = wr.batch_normalized_mean(x, scale=GAMMA, shift=shift, where=WHERE)
        return jnp.where(WHERE[:, None], weights * y, 0).sum()

    spoilt = jnp.where(WHERE[:, None], means, jnp.nan)
    for x in (spoilt, jnp.where(WHERE[:, None], means, jnp.inf)):
        np.testing.assert_allclose(total(x), total(means), rtol=1e-6)
        gradient = jax.grad(total)(x)
        chex.assert_tree_all_finite(gradient)
        np.testing.assert_allclose(gradient, jax.grad(total)(means), atol=1e-6)


@pytest.mark.parametrize("mapped", ["pmap", "shard_map", "vmap"])
def test_over_devices_it_is_that_of_the_global_batch(mapped):
    means, shift = jax.random.normal(jax.random.key(4), (B, Z)), jnp.ones(Z)

    def normalized(x, where):
        return wr.batch_normalized_mean(
            x, scale=GAMMA, shift=shift, where=where, axis_name="devices"
        )

    if mapped == "shard_map":
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("devices",))
        rows = jax.sharding.PartitionSpec("devices")
        function = jax.shard_map(normalized, mesh=mesh, in_specs=(rows, rows), out_specs=rows)
        result = jax.jit(function)(means, WHERE)
    else:
        parts = means.reshape(4, 2, Z), WHERE.reshape(4, 2)
        maps = {
            "pmap": jax.pmap(normalized, "devices"),
            "vmap": jax.vmap(normalized, axis_name="devices"),
        }
        result = maps[mapped](*parts).reshape(B, Z)
    expected = wr.batch_normalized_mean(means, scale=GAMMA, shift=shift, where=WHERE)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_the_head_trains_on_the_batch_and_is_read_by_running_statistics(key):
    head = GaussianPosterior(Z, 4, mean_scale=GAMMA)
    summary = jax.random.normal(key, (B, 4))
    variables = head.init(key, summary, where=WHERE, train=True)
    assert "mean_norm" in variables["params"]
    assert set(variables["params"]["mean_norm"]) == {"bias"}
    assert "log_var_norm" not in variables["params"]
    posterior, updates = head.apply(
        variables, summary, where=WHERE, train=True, mutable=["batch_stats"]
    )
    dense = variables["params"]["mean"]
    raw = summary @ dense["kernel"] + dense["bias"][None]
    expected = wr.batch_normalized_mean(raw, scale=GAMMA, shift=jnp.zeros(Z), where=WHERE)
    np.testing.assert_allclose(posterior.mean, expected, atol=1e-6)
    stats = updates["batch_stats"]["mean_norm"]
    evaluated = head.apply({**variables, "batch_stats": updates["batch_stats"]}, summary,
                           where=WHERE, train=False)  # fmt: skip
    by_running = GAMMA * (raw - stats["mean"][None]) / np.sqrt(stats["var"][None] + 1e-5)
    np.testing.assert_allclose(evaluated.mean, by_running, rtol=1e-5, atol=1e-6)


def test_wrong_shapes_are_refused():
    with pytest.raises(AssertionError):
        wr.batch_normalized_mean(jnp.ones((B, Z)), scale=1.0, shift=jnp.ones(Z + 1))
    with pytest.raises(AssertionError):
        wr.batch_normalized_mean(jnp.ones((B, Z), int), scale=1.0, shift=jnp.ones(Z))
