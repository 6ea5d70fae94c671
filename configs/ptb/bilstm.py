"""Text VAE with a bidirectional encoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/bilstm.py --workdir=runs/ptb/bilstm
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.bilstm(base.get_config())
