"""Text VAE whose means are normalized to a fixed scale, on the Penn Treebank.

wae-rnf train --config=configs/ptb/bn_vae.py --workdir=runs/ptb/bn_vae
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.bn_vae(base.get_config())
