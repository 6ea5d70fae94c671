"""Wasserstein autoencoder with three planar flow steps, on Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf.py --workdir=runs/ptb/wae_nf
"""

from ml_collections import ConfigDict

from configs.ptb import base


def get_config() -> ConfigDict:
    """Returns the configuration of `wae_nf`."""
    config = base.get_config()
    config.system = "wae_nf"
    config.model.batch_norm = True  # with the next line: the codes start informative
    config.model.initial_log_var = -2.0
    config.objective = ConfigDict({"name": "wae", "mmd_weight": 10.0})
    config.codebook.num_centers = 0
    return config
