"""Run by `test_extending` beside a copy of the package with the changes of docs/extending.md.

Prints, as JSON, what the checks there need: the module's file, the losses of two training steps
with all additions at once, and how far each addition is from what it must equal.
"""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import wae_rnf_jax
from configs.grammar import vae_capacity
from wae_rnf_jax.functional.flows import FLOWS
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID
from wae_rnf_jax.models.laplace import Laplace
from wae_rnf_jax.training.config_check import check_config
from wae_rnf_jax.training.state import build_recipe, initial_state
from wae_rnf_jax.training.step import train_step

V, B, L, Z = 11, 4, 3, 3
BATCH = {
    "tokens": jnp.array([[4, 5, 6], [7, 8, 0], [9, 10, 4], [5, 0, 0]], jnp.int32),
    "lengths": jnp.array([3, 2, 3, 1]),
    "index": jnp.arange(B),
    "where": jnp.ones(B, bool),
}


def extended_config():
    """A tiny model with the new flow and decoder, trained by the new objective."""
    config = vae_capacity.get_config()
    config.model.update(embedding_dim=5, hidden_dim=6, latent_dim=Z, cross_entropy_block=16)
    config.model.update(flow="sinh_arcsinh", num_flow_steps=2)
    config.encoder.name, config.posterior.name = "bag", "laplace"
    config.decoder.update(name="gru", z_every_step=True)
    config.train.batch_size = B
    check_config(config)
    return config


def moved(tree, size=0.3):
    """Parameters away from their start, at which a flow is the identity."""
    leaves, structure = jax.tree.flatten(tree)
    rng = np.random.default_rng(0)
    noise = [size * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    return jax.tree.unflatten(
        structure, [np.asarray(x) + y for x, y in zip(leaves, noise, strict=True)]
    )


@jax.jit
def flow_errors(params):
    """Of the log-determinant, against automatic differentiation, and of the inverse."""
    flow = FLOWS["sinh_arcsinh"]
    z = 2 * jax.random.normal(jax.random.key(1), (20, Z))
    y, log_det = flow.forward(params, z)
    jacobians = jax.vmap(jax.jacfwd(lambda z: flow.forward(params, z)[0]))(z)
    back, inverse_log_det = flow.inverse(params, y)
    differences = {
        "moved": y - z,
        "log_det": jnp.log(jnp.abs(jnp.prod(jnp.diagonal(jacobians, 0, 1, 2), -1))) - log_det,
        "off_diagonal": jacobians * (1 - jnp.eye(Z))[None],
        "inverse": back - z,
        "inverse_log_det": inverse_log_det + log_det,
    }
    return jax.tree.map(lambda x: jnp.abs(x).max(), differences)


@partial(jax.jit, static_argnums=0)
def decoder_error(model, variables):
    """Between the likelihood of whole sentences and that of their words one by one."""
    apply = partial(model.apply, variables)
    tokens, lengths = BATCH["tokens"], BATCH["lengths"]
    codes = jax.random.normal(jax.random.key(2), (2, B, Z))  # two of each sentence
    whole = apply(codes, tokens, lengths, method="score")

    def word_by_word(zk):
        carry = apply(zk, L + 1, method="start")
        last, total = jnp.full(B, BOS_ID), jnp.zeros(B)
        for t in range(L + 1):
            carry, logits = apply(carry, last, zk, method="decode_step")
            word = tokens[:, min(t, L - 1)]
            last = jnp.where(t < lengths, word, jnp.where(t == lengths, EOS_ID, 0))
            log_probs = jax.nn.log_softmax(logits)[jnp.arange(B), last]
            total -= jnp.where(t <= lengths, log_probs, 0.0)
        return total

    return jnp.abs(jax.lax.map(word_by_word, codes) - whole).max()


@partial(jax.jit, static_argnums=0)
def encoder_errors(model, variables):
    """Between sentences and the same with their words turned around, and with more padding."""
    tokens, lengths = BATCH["tokens"], BATCH["lengths"]
    infer = partial(model.apply, variables, method="infer")
    places = jnp.arange(L)[None] + 0 * tokens
    turned = jnp.take_along_axis(
        tokens, jnp.where(places < lengths[:, None], lengths[:, None] - 1 - places, places), 1
    )
    padded = jnp.pad(tokens, ((0, 0), (0, 2)))
    found = [infer(x, lengths) for x in (tokens, turned, padded)]
    changed = infer(tokens + (tokens == 4), lengths)
    errors = {"order": found[1], "padding": found[2], "word": changed}
    return {name: jnp.abs(other.center - found[0].center).max() for name, other in errors.items()}


@jax.jit
def posterior_errors(mean, log_scale):
    """Of metrics of the new posterior, against its own draws and against each other."""
    posterior = Laplace(mean, log_scale)
    keys = jax.random.split(jax.random.key(3), (20_000, len(mean)))
    draws = jax.vmap(posterior.sample)(keys)
    log_prob = jax.vmap(posterior.log_prob)(draws)
    log_prior = posterior.prior.log_prob(draws)
    spread = jnp.square(draws - posterior.center[None]).sum(-1).mean(0)
    pairs = posterior.pairwise_log_prob(draws[0])
    return {
        "kl": jnp.abs((log_prob - log_prior).mean(0) - posterior.kl()).max(),
        "entropy": jnp.abs(-log_prob.mean(0) - posterior.entropy()).max(),
        "spread": jnp.abs(spread / posterior.spread - 1).max(),
        "pairs": jnp.abs(jnp.diagonal(pairs) - posterior.log_prob(draws[0])).max(),
    }


def frozen_moves():
    """How far a step of the new procedure moves each module."""
    config = extended_config()
    config.procedure = type(config)({"name": "frozen", "num_steps": 1})
    recipe = build_recipe(config, V, steps_per_epoch=1, axis_name=None)
    state = initial_state(config, recipe, jax.random.key(0))
    after, _ = jax.jit(partial(train_step, recipe=recipe))(state, BATCH, jax.random.key(0))
    moves = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), after.params, state.params)
    return {name: max(jax.tree.leaves(module)) for name, module in moves.items()}


def main():
    config = extended_config()
    recipe = build_recipe(config, V, steps_per_epoch=1, axis_name=None)
    rng = jax.random.key(0)
    state = initial_state(config, recipe, rng)
    state = state.replace(params=moved(state.params))
    step = jax.jit(partial(train_step, recipe=recipe))
    before, steps = state.params, []
    for _ in range(2):
        # From step 0 each time: with the same draws, the loss falls.
        state, metrics = step(state.replace(step=jnp.zeros_like(state.step)), BATCH, rng)
        steps.append({name: float(value) for name, value in metrics.items()})
    change = jax.tree.map(
        lambda new, old: float(np.abs(np.asarray(new) - old).max()), state.params, before
    )
    flow_params = moved(FLOWS["sinh_arcsinh"].init(rng, Z), 0.7)
    found = {
        "file": wae_rnf_jax.__file__,
        "steps": steps,
        "objective": config.objective.to_dict(),
        "flow_change": change["flow_stack"]["steps"],
        "decoder_change": change["decoder"],
        "encoder_change": change["encoder"],
        "encoder": jax.tree.map(float, encoder_errors(recipe.model, {"params": state.params})),
        "posterior": jax.tree.map(
            float, posterior_errors(0.5 * jnp.ones((2, Z)), jnp.full((2, Z), -0.4))
        ),
        "flow": jax.tree.map(float, flow_errors(flow_params)),
        "frozen": frozen_moves(),
        "decoder": float(decoder_error(recipe.model, {"params": state.params})),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
