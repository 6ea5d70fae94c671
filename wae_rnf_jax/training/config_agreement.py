"""Values of a configuration that do not go together, each in one sentence that says what does."""

from collections.abc import Iterator
from typing import Any

from wae_rnf_jax.functional.distributions import StandardNormal
from wae_rnf_jax.functional.objectives import IN_FLAT_SPACE, WITH_CODEBOOK, WITH_FLOW
from wae_rnf_jax.models.decoders import DECODERS
from wae_rnf_jax.models.posteriors import POSTERIORS

Disagreement = tuple[str, Any, str]  # key, value, what is wrong


def disagreements(**sections: dict) -> Iterator[Disagreement]:
    """Finds keys whose values do not go together.

    Args:
      **sections: of a configuration, in which each key by itself is right.
    """
    for part in (
        _of_latent,
        _of_posterior,
        _of_parts,
        _of_procedure,
        _of_weights,
        _of_codebook,
        _of_rows,
    ):
        yield from part(**sections)


def _of_latent(
    *, model: dict, objective: dict, codebook: dict, **_: dict
) -> Iterator[Disagreement]:
    name, latent_dim = objective["name"], model["latent_dim"]
    if (name == "lm") == bool(latent_dim):
        needed = "0" if name == "lm" else "at least 1"
        yield "model.latent_dim", latent_dim, f"objective {name} needs {needed}"
    for key, value, needing in (
        ("model.num_flow_steps", model["num_flow_steps"], WITH_FLOW),
        ("codebook.num_centers", codebook["num_centers"], WITH_CODEBOOK),
    ):
        if value and name == "lm":
            yield key, value, "objective lm has no latent code and needs 0"
        if not value and name in needing:
            yield key, value, f"objective {name} needs at least 1"


def _of_posterior(
    *, model: dict, posterior: dict, objective: dict, decoder: dict, **_: dict
) -> Iterator[Disagreement]:
    family, name = posterior["name"], objective["name"]
    if not isinstance(POSTERIORS[family].prior(2), StandardNormal):
        if model["latent_dim"] < 2:
            rule = f"posterior {family} lies on the unit sphere and needs at least 2"
            yield "model.latent_dim", model["latent_dim"], rule
        if name in IN_FLAT_SPACE:
            rule = f"objective {name} needs codes that fill R^Z, as with posterior gaussian; "
            rule += "vae and wae take any posterior"
            yield "posterior.name", family, rule
        if model["num_flow_steps"]:
            rule = "flow steps are maps of R^Z, which need posterior gaussian; "
            rule += f"posterior {family}, on the unit sphere, needs 0"
            yield "model.num_flow_steps", model["num_flow_steps"], rule
    if objective.get("num_words") and objective["features"] != "fisher":
        rule = "words are drawn only if objective.features is fisher; otherwise it must be 0"
        yield "objective.num_words", objective["num_words"], rule
    state = hasattr(DECODERS[decoder["name"]], "state_features")
    if "features" in objective and objective["features"] == "state" and not state:
        rule = f"decoder {decoder['name']} has no initial state: use fisher, or decoder lstm"
        yield "objective.features", "state", rule


def _of_parts(
    *, model: dict, encoder: dict, posterior: dict, decoder: dict, objective: dict, **_: dict
) -> Iterator[Disagreement]:
    for name, part in (("encoder", encoder), ("decoder", decoder)):
        if "num_heads" in part and model["hidden_dim"] % (2 * part["num_heads"]):
            rule = f"model.hidden_dim, {model['hidden_dim']}, must be an even multiple of it"
            yield f"{name}.num_heads", part["num_heads"], rule
    if posterior.get("mean_scale") and posterior["batch_norm"]:
        rule = "batch_norm already scales the means: use only one of the two"
        yield "posterior.mean_scale", posterior["mean_scale"], rule
    if objective.get("kl_floor") and posterior["name"] != "gaussian":
        rule = "a floor needs a KL that is learned, as with posterior gaussian; "
        rule += f"that of posterior {posterior['name']} is constant"
        yield "objective.kl_floor", objective["kl_floor"], rule


def _of_procedure(
    *, model: dict, posterior: dict, procedure: dict, **_: dict
) -> Iterator[Disagreement]:
    name = procedure["name"]
    if name != "descent" and not model["latent_dim"]:
        yield "procedure.name", name, "objective lm has no latent code and needs descent"
    if name == "semi_amortized" and posterior["name"] != "gaussian":
        rule = (
            f"it refines means and variances, which posterior {posterior['name']} does not have: "
        )
        rule += "use another procedure"
        yield "procedure.name", name, rule
    if name == "pretrained":
        stages = len(procedure["kl_weights"])
        for key in ("max_steps", "patience", "reset"):
            if len(procedure[key]) != stages:
                rule = f"it must have as many entries as kl_weights, {stages}"
                yield f"procedure.{key}", procedure[key], rule


def _of_weights(
    *, objective: dict, kl_weight: dict, procedure: dict, **_: dict
) -> Iterator[Disagreement]:
    if kl_weight["schedule"] == "linear_of_run" and kl_weight["end"] <= kl_weight["begin"]:
        rule = f"it must be greater than kl_weight.begin, {kl_weight['begin']}"
        yield "kl_weight.end", kl_weight["end"], rule
    highest = kl_weight["value" if kl_weight["schedule"] == "constant" else "maximum"]
    highest = max((highest, *procedure.get("kl_weights", ())))
    if "mmd_weight" in objective and objective["mmd_weight"] < highest:
        rule = f"it must be at least the highest kl_weight, {highest}, which is subtracted from it"
        yield "objective.mmd_weight", objective["mmd_weight"], rule


def _of_codebook(*, codebook: dict, **_: dict) -> Iterator[Disagreement]:
    if codebook["refresh_every"] and codebook["num_codes"] < codebook["num_centers"]:
        rule = f"it must be at least num_centers, {codebook['num_centers']}"
        yield "codebook.num_codes", codebook["num_codes"], rule


def _of_rows(*, train: dict, objective: dict, posterior: dict, **_: dict) -> Iterator[Disagreement]:
    rows = train["batch_size"] // train["accumulate"]
    normalized = posterior.get("batch_norm") or posterior.get("mean_scale")
    if rows < 2 and ("mmd_weight" in objective or normalized):
        rule = (
            f"micro-batches would have {rows} sentences, but MMD² and batch norm, computed within "
        )
        rule += "each, need 2: use at most half of train.batch_size"
        yield "train.accumulate", train["accumulate"], rule
    if train["mmd_group"] and objective.get("biased_mmd"):
        rule = "groups need the unbiased MMD²; with objective.biased_mmd it must be 0"
        yield "train.mmd_group", train["mmd_group"], rule
