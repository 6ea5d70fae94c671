"""What `tests/fuzz` found: arrays that other errors than the two of the convention came of."""

import jax
import jax.numpy as jnp
import pytest

import wae_rnf_jax as wae

KEY = jax.random.key(0)
START = jnp.zeros((1, 1))
PARAMS = {"u": jnp.zeros((2, 2)), "w": jnp.zeros((2, 2)), "b": jnp.zeros(2)}
REFUSED = {
    "categorical_draws": lambda: wae.categorical_draws(KEY, jnp.zeros((2, 0)), num_draws=3),
    "chain": lambda: wae.chain_forward_and_log_det(
        wae.planar_forward_and_log_det, PARAMS, jnp.zeros(0)
    ),
    "curve_length of a point": lambda: wae.curve_length(jnp.sin, jnp.zeros(())),
    "curve_energy of integers": lambda: wae.curve_energy(jnp.sin, jnp.zeros((3, 2), int)),
    "geodesic of many": lambda: wae.geodesic(jnp.sin, jnp.zeros((3, 2)), jnp.ones((3, 2))),
    "lstm_states of a vector": lambda: wae.lstm_states(
        jnp.ones((2, 1, 4)), jnp.zeros(4), jnp.ones((1, 4)), jnp.zeros(1), jnp.zeros(1)
    ),
    "lstm_states of integers": lambda: wae.lstm_states(
        jnp.ones((2, 1, 4)), jnp.zeros(4), jnp.ones((1, 4)), START.astype(int), START.astype(int)
    ),
    "paper_annealing": lambda: wae.paper_annealing(steps_per_epoch=9, start=0, length=9, maximum=1)(
        jnp.zeros((), "complex64")
    ),
    "pullback_metric": lambda: wae.pullback_metric(jnp.sin, jnp.zeros(0)),
    "pullback_metric_product": lambda: wae.pullback_metric_product(
        jnp.sin, jnp.zeros(2), jnp.zeros(2, bool)
    ),
    "refined_posterior": lambda: wae.refined_posterior(
        lambda posterior, step: posterior.kl(),
        wae.DiagonalGaussian(jnp.zeros((1, 2), int), jnp.zeros((1, 2), int)),
        num_steps=1,
        rate=1.0,
        momentum=0.0,
        max_norm=1.0,
    ),
    "sum_over_tokens": lambda: wae.sum_over_tokens(jnp.zeros(3), jnp.zeros((1, 2), int)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_arrays_are_assertion_errors(name):
    with pytest.raises(AssertionError):
        REFUSED[name]()


def test_a_geodesic_s_ends_may_be_plain_numbers():
    plain, arrays = (wae.geodesic(jnp.sin, end(0.1), end(0.9)) for end in (_list, _array))
    assert plain.length == arrays.length


def _list(x):
    return [x, 0.0]


def _array(x):
    return jnp.array([x, 0.0])


def test_fewer_features_than_dimensions_have_no_volume():
    with pytest.raises(ValueError, match="1 features of a code of 2 dimensions"):
        wae.pullback_log_magnification(lambda z: z[:1], jnp.zeros(2))


def test_shapes_that_do_not_go_together_are_value_errors():
    with pytest.raises(ValueError, match="ncompatible shapes"):
        wae.perplexity(jnp.zeros(2), jnp.ones(3))


def test_no_distribution_has_no_draws():
    draws = wae.categorical_draws(KEY, jnp.zeros((0, 4)), num_draws=3)
    assert draws.shape == (0, 3)
