"""Wasserstein autoencoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae.py --workdir=runs/ptb/wae

Test, S = 20, after 3 epochs: nll_iw 113.19, kl 1.49, mi 1.32, au 16.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae(base.get_config())
