"""Wasserstein autoencoder with a Riemannian flow, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf.py --workdir=runs/ptb/wae_rnf
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf(base.get_config())
