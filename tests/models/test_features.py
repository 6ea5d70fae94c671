from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.evaluation.conftest import tiny_model
from wae_rnf_jax.models.features import code_features, fisher_log_magnification_estimate

TOKENS = jnp.array([[4, 5, 6, 0], [7, 4, 0, 0]])
LENGTHS = jnp.array([3, 2])
CODE = jnp.array([0.3, -0.2, 1.0])


@pytest.fixture(scope="module")
def tiny():
    return tiny_model(latent_dim=3, num_flow_steps=2)


def test_fisher_features_are_those_of_step_by_step_decoding(tiny):
    """2·√p of each next word, as `decode_step` predicts it, and nothing past the end."""
    packed = code_features(tiny, CODE, TOKENS, LENGTHS, features="fisher", num_positions=8)
    whole = code_features(tiny, CODE, TOKENS, LENGTHS, features="fisher")
    np.testing.assert_allclose(packed, whole[:8], atol=1e-6)
    assert not np.any(whole[7:])
    codes = jnp.broadcast_to(CODE, (2, 3))
    carry = tiny.start(codes, TOKENS.shape[1] + 1)
    inputs = jnp.concatenate([jnp.full((2, 1), 2), TOKENS], axis=1)  # <bos> first
    for t in range(inputs.shape[1]):
        carry, logits = tiny.decode_step(carry, inputs[:, t], codes)
        expected = 2 * np.sqrt(jax.nn.softmax(logits))
        for row in range(2):
            if t <= LENGTHS[row]:
                position = t + row * (LENGTHS[0] + 1)
                np.testing.assert_allclose(packed[position], expected[row], atol=1e-5)


def test_state_features_are_the_initial_state(tiny):
    actual = code_features(tiny, CODE, TOKENS, LENGTHS, features="state")
    h, c = tiny.start(CODE[None], 4)
    np.testing.assert_allclose(actual, np.concatenate([h[0], c[0]]), atol=1e-6)


def test_narrow_operands_are_not_the_geometrys(tiny):
    """Rounding would add to every piece of a curve."""
    narrow = replace(tiny, module=tiny.module.clone(dtype="bfloat16"))
    for features in ("fisher", "state"):
        found = [
            code_features(model, CODE, TOKENS, LENGTHS, features=features)
            for model in (narrow, tiny)
        ]
        np.testing.assert_array_equal(*found)
    estimates = [
        fisher_log_magnification_estimate(
            jax.random.key(0), model, CODE, TOKENS[0], LENGTHS[0], num_words=20
        )
        for model in (narrow, tiny)
    ]
    np.testing.assert_array_equal(*estimates)


def test_no_product_is_rounded_where_a_device_would(tiny):
    """GPUs and TPUs round the operands of products whose precision is not said."""

    def estimate(z):
        return fisher_log_magnification_estimate(
            jax.random.key(0), tiny, z, TOKENS[0], LENGTHS[0], num_words=20
        )

    traced = [jax.make_jaxpr(estimate)(CODE)]
    for features in ("fisher", "state"):
        features_of = partial(code_features, tiny, features=features)
        along = jax.jacfwd(lambda z, f=features_of: f(z, TOKENS, LENGTHS))
        traced.append(jax.make_jaxpr(along)(CODE))
    for jaxpr in traced:
        assert "dot_general[" in str(jaxpr)
        assert "precision=None" not in str(jaxpr)


@pytest.mark.parametrize("length, num_words, known", [(0, 2, False), (0, 3, True), (1, 2, True)])
def test_a_metric_of_fewer_terms_than_dimensions_is_not_known(tiny, length, num_words, known):
    estimate = fisher_log_magnification_estimate(
        jax.random.key(0), tiny, CODE, TOKENS[0], jnp.int32(length), num_words=num_words
    )
    assert bool(jnp.isfinite(estimate)) is known


def test_other_features_are_refused(tiny):
    with pytest.raises(ValueError, match="features must be one of"):
        code_features(tiny, CODE, TOKENS, LENGTHS, features="hidden")
