"""Text VAE whose means are normalized to a fixed scale, on the Penn Treebank.

wae-rnf train --config=configs/ptb/bn_vae.py --workdir=runs/ptb/bn_vae

Test, S = 20, after 3 epochs: nll_iw 116.83, kl 5.75, mi 2.83, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.bn_vae(base.get_config())
