"""Wasserstein autoencoder whose planar flow follows the RBF metric of the codes, on Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf.py --workdir=runs/ptb/wae_rnf
"""

from configs.ptb import base


def get_config():
    """Returns the configuration of `wae_rnf`."""
    config = base.get_config()
    config.system = "wae_rnf"
    config.model.batch_norm = True  # with the next line: the codes start informative
    config.model.initial_log_var = -2.0
    return config
