"""Wasserstein autoencoder with a planar flow, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf.py --workdir=runs/ptb/wae_nf
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf(base.get_config())
