"""Wasserstein autoencoder on the unit sphere, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_vmf.py --workdir=runs/ptb/wae_vmf

Test, S = 20, after 3 epochs: nll_iw 113.36, kl 2.76, mi 1.79, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_vmf(base.get_config())
