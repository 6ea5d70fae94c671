"""Wasserstein autoencoder on the unit sphere, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_vmf.py --workdir=runs/ptb/wae_vmf
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_vmf(base.get_config())
