"""The systems: functions that turn the settings of a corpus into those of a system.

The folder of a corpus has one small file per system, which calls one of these. Whatever a system
does not read keeps its default, or is set back to it.
"""

from ml_collections import ConfigDict

from configs import default


def lm(config: ConfigDict) -> ConfigDict:
    """LSTM language model: no latent code; the baseline."""
    config.model.latent_dim = 0
    config.objective = ConfigDict({"name": "lm"})
    config.kl_weight = default.get_config().kl_weight
    return _without_flow(config, "lm")


def vae(config: ConfigDict) -> ConfigDict:
    """Text VAE, annealed linearly to the full bound, with word dropout (Bowman et al. 2015)."""
    config.model.word_dropout = 0.25
    config.objective = ConfigDict({"name": "vae"})
    config.kl_weight.maximum = 1.0
    return _without_flow(config, "vae")


def dilated_cnn(config: ConfigDict) -> ConfigDict:
    """`vae` whose decoder is a dilated causal CNN, which looks back 15 words (Yang et al. 2017)."""
    config.decoder = ConfigDict({"name": "dilated_cnn", "dilations": (1, 2, 4), "internal_dim": 0})
    vae(config)
    config.system = "dilated_cnn"
    return config


def cyclical(config: ConfigDict) -> ConfigDict:
    """`vae` whose λ rises from 0 to 1 and stays there, four times per run (Fu et al. 2019).

    The corpus' configuration sets `kl_weight.period`, a little over a quarter of its steps, so that
    the last validation precedes a fifth cycle.
    """
    config.kl_weight = ConfigDict(
        {"schedule": "cyclical", "period": 1, "rise": 0.5, "maximum": 1.0}
    )
    vae(config)
    config.system = "cyclical"
    return config


def bn_vae(config: ConfigDict) -> ConfigDict:
    """`vae` whose means have a fixed scale over the batch, so that KL remains (Zhu et al. 2020)."""
    config.posterior.mean_scale = 0.6  # at least 5.8 nats at Z = 32
    vae(config)
    config.system = "bn_vae"
    return config


def semi_amortized(config: ConfigDict) -> ConfigDict:
    """`vae` whose posteriors are refined by steps on the bound of each sentence (Kim et al. 2018).

    λ begins at .1, as published: at 0 nothing would keep the variances from growing without bound.
    """
    config.kl_weight.start = -config.kl_weight.length // 10
    config.procedure = ConfigDict(
        {
            "name": "semi_amortized",
            "num_steps": 10,
            "evaluation_steps": 20,
            "rate": 0.03125,
            "momentum": 0.5,
            "max_norm": 28.0,
        }
    )
    vae(config)
    config.system = "semi_amortized"
    return config


def lagging(config: ConfigDict) -> ConfigDict:
    """`vae` whose encoder at first converges before each step of the decoder (He et al. 2019).

    λ begins at .1, as published: at 0 nothing would limit the KL, which the encoder's steps raise.
    """
    config.kl_weight.start = -config.kl_weight.length // 10
    config.procedure = ConfigDict({"name": "lagging", "window": 15, "most_encoder_steps": 99})
    vae(config)
    config.system = "lagging"
    return config


def free_bits(config: ConfigDict) -> ConfigDict:
    """`vae` with free bits, pretrained as an autoencoder, with a new decoder (Li et al. 2019)."""
    vae(_pretrained(config))
    config.objective.kl_floor = 0.25  # 8 nats at Z = 32
    config.system = "free_bits"
    return config


def wae_rnf_pretrained(config: ConfigDict) -> ConfigDict:
    """`wae_rnf` pretrained as an autoencoder, with a new decoder."""
    wae_rnf(_pretrained(config))
    config.system = "wae_rnf_pretrained"
    return config


def bilstm(config: ConfigDict) -> ConfigDict:
    """`vae` whose encoder reads the sentence from both ends."""
    config.encoder = ConfigDict({"name": "bilstm"})
    vae(config)
    config.system = "bilstm"
    return config


def transformer(config: ConfigDict) -> ConfigDict:
    """`vae` with transformers as encoder and decoder."""
    for part in ("encoder", "decoder"):
        layers = {"name": "transformer", "num_layers": 2, "num_heads": 4, "feedforward_dim": 0}
        config[part] = ConfigDict(layers)
    vae(config)
    config.system = "transformer"
    return config


def vmf(config: ConfigDict) -> ConfigDict:
    """`vae` on the unit sphere: von Mises–Fisher posteriors, whose KL is constant (Xu 2018)."""
    config.objective = ConfigDict({"name": "vae"})
    config.kl_weight = ConfigDict({"schedule": "constant", "value": 1.0})  # the KL is constant
    return _without_flow(_on_sphere(config), "vmf")


def wae_vmf(config: ConfigDict) -> ConfigDict:
    """Wasserstein autoencoder on the unit sphere: MMD to the uniform distribution, no KL term."""
    config.objective = ConfigDict({"name": "wae", "mmd_weight": 10.0})
    config.kl_weight = ConfigDict({"schedule": "constant", "value": 0.0})
    return _without_flow(_on_sphere(config), "wae_vmf")


def wae(config: ConfigDict) -> ConfigDict:
    """Wasserstein autoencoder with a capped KL term, no flow."""
    config.objective = ConfigDict({"name": "wae", "mmd_weight": 10.0})
    return _without_flow(_informative_start(config), "wae")


def wae_nf(config: ConfigDict) -> ConfigDict:
    """`wae` with three planar flow steps."""
    config.objective = ConfigDict({"name": "wae", "mmd_weight": 10.0})
    return _without_codebook(_informative_start(config), "wae_nf")


def wae_rnf(config: ConfigDict) -> ConfigDict:
    """`wae_nf` whose flow follows the RBF metric of the codes: the defaults."""
    config.system = "wae_rnf"
    return _informative_start(config)


def wae_rnf_attract(config: ConfigDict) -> ConfigDict:
    """`wae_rnf` with the regularizer that attracts the inputs of the flow to the centers."""
    return _by_distance(config, "wae_rnf_attract")


def wae_rnf_repel(config: ConfigDict) -> ConfigDict:
    """`wae_rnf` with the regularizer that repels the inputs of the flow from the centers."""
    return _by_distance(config, "wae_rnf_repel")


def wae_rnf_state(config: ConfigDict) -> ConfigDict:
    """`wae_rnf` whose flow follows the metric pulled back from the decoder's initial state."""
    return _pullback(config, "state")


def wae_rnf_fisher(config: ConfigDict) -> ConfigDict:
    """`wae_rnf` whose flow follows the pulled-back Fisher–Rao metric of the sentence.

    It is estimated for a quarter of each batch, from 32 pairs of words at each position.
    """
    _pullback(config, "fisher")
    with config.unlocked():
        config.objective.update(one_in=4, num_words=32)
    return config


def wae_paper(config: ConfigDict) -> ConfigDict:
    """What the paper's code trains as WAE, switch for switch."""
    config.objective = ConfigDict({"name": "wae_paper", "mmd_weight": 10.0})
    return _without_flow(_paper_training(config), "wae_paper")


def wae_nf_paper(config: ConfigDict) -> ConfigDict:
    """What the paper's code trains as WAE-NF, switch for switch."""
    config.objective = ConfigDict({"name": "wae_nf_paper", "mmd_weight": 10.0})
    return _without_codebook(_paper_training(config), "wae_nf_paper")


def wae_rnf_paper(config: ConfigDict) -> ConfigDict:
    """What the paper's code trains as WAE-RNF, switch for switch."""
    config.system = "wae_rnf_paper"
    config.objective = ConfigDict(
        {"name": "wae_rnf_paper", "mmd_weight": 10.0, "rnf_weight": 1.0, "sharpness": 0.5}
    )
    fixed_centers = {"num_centers": config.codebook.num_centers, "refresh_every": 0}
    return _with_codebook(_paper_training(config), **fixed_centers)


def of_reviews(config: ConfigDict) -> ConfigDict:
    """A `*_paper` system as run on Yelp and Yahoo: one flow step, biased MMD²."""
    config.model.num_flow_steps = min(config.model.num_flow_steps, 1)
    with config.unlocked():
        config.objective.biased_mmd = True
    return config


def _by_distance(config: ConfigDict, system: str) -> ConfigDict:
    config.system = system
    config.objective = ConfigDict(
        {"name": system, "mmd_weight": 10.0, "rnf_weight": 1.0, "sharpness": 0.5}
    )
    return _informative_start(config)


def _pullback(config: ConfigDict, features: str) -> ConfigDict:
    config.objective = ConfigDict(
        {
            "name": "wae_rnf_pullback",
            "mmd_weight": 10.0,
            "rnf_weight": 10.0,
            "features": features,  # what the metric is pulled back from: "fisher" or "state"
        }
    )
    return _without_codebook(_informative_start(config), f"wae_rnf_{features}")


def _without_flow(config: ConfigDict, system: str) -> ConfigDict:
    config.model.update(num_flow_steps=0, flow=default.get_config().model.flow)
    return _without_codebook(config, system)


def _without_codebook(config: ConfigDict, system: str) -> ConfigDict:
    config.system = system
    return _with_codebook(config, num_centers=0)


def _with_codebook(config: ConfigDict, **settings: int) -> ConfigDict:
    config.codebook = default.get_config().codebook
    config.codebook.update(settings)
    return config


def _on_sphere(config: ConfigDict) -> ConfigDict:
    config.posterior = ConfigDict({"name": "vmf", "concentration": 15.0})
    config.decoder = ConfigDict({"name": "lstm", "z_every_step": True})
    return config


def _pretrained(config: ConfigDict) -> ConfigDict:
    """One earlier stage at a very small λ; the configuration of the corpus limits its steps."""
    config.procedure = ConfigDict(
        {
            "name": "pretrained",
            "kl_weights": (0.001,),
            "max_steps": (10_000,),
            "patience": (2,),
            "reset": ("decoder",),
        }
    )
    return config


def _informative_start(config: ConfigDict) -> ConfigDict:
    """Means of unit variance and small posterior variances.

    With means near 0 and variances near 1, which already satisfy the MMD, the decoder would learn
    to ignore the code before the encoder has put anything into it.
    """
    config.posterior.batch_norm = True
    config.posterior.initial_log_var = -2.0
    return config


def _paper_training(config: ConfigDict) -> ConfigDict:
    config.posterior.batch_norm = True
    config.model.update(dropout=0.2, flow="planar_paper", initializer="pytorch")
    config.kl_weight.schedule = "paper"  # it assumes 2,000 steps per epoch
    config.train.update(
        clip_norm=0.0, learning_rate=1e-3, learning_rate_decay="none", select="last"
    )
    return config
