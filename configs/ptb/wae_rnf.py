"""Wasserstein autoencoder with a Riemannian flow, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf.py --workdir=runs/ptb/wae_rnf

Test, S = 100, after 8 epochs with λ capped at .5: nll_iw 107.03, kl 5.27, mi 4.83, au 28;
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf(base.get_config())
