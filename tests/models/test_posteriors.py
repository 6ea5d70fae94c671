"""Batch normalization over the valid rows of the global batch, whatever the layout."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.models.posteriors import GaussianPosterior, MaskedBatchNorm

F = 3


def numpy_batch_norm(x, where, momentum=0.1, eps=1e-5):
    rows = x[where]
    mean, var = rows.mean(0), rows.var(0)
    normalized = (x - mean) / np.sqrt(var + eps)
    running_mean = momentum * mean
    running_var = (1 - momentum) + momentum * rows.var(0, ddof=1)
    return normalized, running_mean, running_var


def test_batch_norm_counts_valid_rows_alone(key, x64):
    x = np.asarray(jax.random.normal(key, (8, F), jnp.float64)) * 3 + 1
    where = np.array([1, 1, 0, 1, 1, 0, 1, 1], bool)
    x[~where] = 1e6
    norm = MaskedBatchNorm()
    variables = norm.init(key, jnp.asarray(x), where=jnp.asarray(where), train=True)
    y, updates = norm.apply(
        variables, jnp.asarray(x), where=jnp.asarray(where), train=True, mutable=["batch_stats"]
    )
    expected, mean, var = numpy_batch_norm(x, where)
    np.testing.assert_allclose(np.asarray(y)[where], expected[where], atol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["var"], var, rtol=1e-6)


def test_batch_norm_over_devices_is_that_of_the_global_batch(key):
    assert jax.local_device_count() >= 4
    x = jax.random.normal(key, (4, 2, F)) * 2 + 1
    where = jnp.array([[1, 1], [1, 0], [0, 0], [1, 1]], bool)  # unequal numbers of valid rows
    norm = MaskedBatchNorm(axis_name="devices")
    alone = MaskedBatchNorm()
    variables = alone.init(key, x[0], where=where[0], train=True)
    y, updates = jax.pmap(
        lambda v, x, w: norm.apply(v, x, where=w, train=True, mutable=["batch_stats"]),
        "devices",
        in_axes=(None, 0, 0),
    )(variables, x, where)
    expected, expected_updates = alone.apply(
        variables,
        x.reshape(8, F),
        where=where.reshape(8),
        train=True,
        mutable=["batch_stats"],
    )
    np.testing.assert_allclose(y.reshape(8, F), expected, atol=1e-5)
    for name in ("mean", "var"):
        for device in range(4):
            np.testing.assert_allclose(
                updates["batch_stats"][name][device],
                expected_updates["batch_stats"][name],
                atol=1e-5,
            )


def test_a_batch_of_few_valid_rows_has_a_finite_gradient(key):
    """One valid row has no variance, none has no mean: padding must not overflow for it."""
    module = GaussianPosterior(2, F, batch_norm=True)
    x = 100 * jax.random.normal(key, (4, F))
    variables = module.init(key, x, where=jnp.ones(4, bool), train=True)

    def total(params, where):
        out, updates = module.apply(
            {**variables, "params": params}, x, where=where, train=True, mutable=["batch_stats"]
        )
        values = jnp.square(out.mean) + jnp.exp(out.log_var)
        return jnp.where(where[:, None], values, 0).sum(), updates["batch_stats"]

    for num_valid in (1, 0):
        where = jnp.arange(4) < num_valid
        gradient, stats = jax.grad(total, has_aux=True)(variables["params"], where)
        chex.assert_tree_all_finite((gradient, stats))
    chex.assert_trees_all_equal(stats, variables["batch_stats"])


def test_evaluation_uses_running_statistics(key):
    module = GaussianPosterior(2, F, batch_norm=True)
    x = jax.random.normal(key, (4, F))
    where = jnp.ones(4, bool)
    variables = module.init(key, x, where=where, train=True)
    mean = module.apply(variables, x, where=where, train=False).mean
    one_row = module.apply(variables, x[:1], where=where[:1], train=False).mean
    np.testing.assert_allclose(mean[:1], one_row, atol=1e-6)
    posterior, _ = module.apply(variables, x, where=where, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(posterior.mean.mean(0), np.zeros(2), atol=1e-5)
    assert not np.allclose(mean, posterior.mean, atol=1e-2)
