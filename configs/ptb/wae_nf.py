"""Wasserstein autoencoder with a planar flow, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf.py --workdir=runs/ptb/wae_nf

Test, S = 100, after 10 epochs in bfloat16, λ up to .5: nll_iw 105.89, kl 6.29, mi 5.62, au 31;
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf(base.get_config())
