"""Text VAE with linear annealing to the full bound (Bowman et al. 2015), on the built-in corpus.

wae-rnf train --config=configs/grammar/vae.py --workdir=runs/grammar/vae
"""

from ml_collections import ConfigDict

from configs.grammar import base


def get_config() -> ConfigDict:
    """Returns the configuration of `vae`."""
    config = base.get_config()
    config.system = "vae"
    config.model.num_flow_steps = 0
    config.model.word_dropout = 0.25
    config.objective = ConfigDict({"name": "vae"})
    config.kl_weight.maximum = 1.0
    config.codebook.num_centers = 0
    return config
