"""LSTM language model: no latent code, the yardstick, on the built-in corpus.

wae-rnf train --config=configs/grammar/lm.py --workdir=runs/grammar/lm
"""

from ml_collections import ConfigDict

from configs.grammar import base


def get_config() -> ConfigDict:
    """Returns the configuration of `lm`."""
    config = base.get_config()
    config.system = "lm"
    config.model.latent_dim = 0
    config.model.num_flow_steps = 0
    config.objective = ConfigDict({"name": "lm"})
    config.kl_weight = ConfigDict({"schedule": "constant", "value": 0.0})
    config.codebook.num_centers = 0
    return config
