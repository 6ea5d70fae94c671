"""Text VAE with free bits, pretrained as an autoencoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/free_bits.py --workdir=runs/ptb/free_bits
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = systems.free_bits(base.get_config())
    config.procedure.max_steps = (13_150,)  # 10 epochs
    return config
