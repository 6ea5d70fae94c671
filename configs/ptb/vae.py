"""Text VAE with linear annealing, on the Penn Treebank.

wae-rnf train --config=configs/ptb/vae.py --workdir=runs/ptb/vae

Test, S = 20, after 3 epochs: nll_iw 115.43, kl 0.10, mi 0.10, au 1.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.vae(base.get_config())
