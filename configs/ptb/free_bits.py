"""Text VAE with free bits, pretrained as an autoencoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/free_bits.py --workdir=runs/ptb/free_bits

Test, S = 20, after 3 epochs: nll_iw 116.41, kl 7.08, mi 3.42, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = systems.free_bits(base.get_config())
    config.procedure.max_steps = (13_150,)  # 10 epochs
    return config
