"""Wasserstein autoencoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae.py --workdir=runs/ptb/wae
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae(base.get_config())
