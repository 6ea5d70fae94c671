"""Wasserstein autoencoder with a planar flow, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf.py --workdir=runs/ptb/wae_nf

Test, S = 20, after 3 epochs: nll_iw 113.21, kl 1.65, mi 1.48, au 31.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf(base.get_config())
