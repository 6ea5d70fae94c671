"""Text VAE with a dilated causal CNN as decoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/dilated_cnn.py --workdir=runs/ptb/dilated_cnn
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.dilated_cnn(base.get_config())
