"""Text VAE with linear annealing, on the Penn Treebank.

wae-rnf train --config=configs/ptb/vae.py --workdir=runs/ptb/vae
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.vae(base.get_config())
