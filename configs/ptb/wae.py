"""Wasserstein autoencoder with the paper's capped KL term, no flow, on Penn Treebank.

wae-rnf train --config=configs/ptb/wae.py --workdir=runs/ptb/wae
"""

from ml_collections import ConfigDict

from configs.ptb import base


def get_config() -> ConfigDict:
    """Returns the configuration of `wae`."""
    config = base.get_config()
    config.system = "wae"
    config.model.batch_norm = True  # with the next line: the codes start informative
    config.model.initial_log_var = -2.0
    config.model.num_flow_steps = 0
    config.objective = ConfigDict({"name": "wae", "mmd_weight": 10.0})
    config.codebook.num_centers = 0
    return config
