"""Text VAE with a bidirectional encoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/bilstm.py --workdir=runs/ptb/bilstm

Test, S = 20, after 3 epochs: nll_iw 115.60, kl 0.68, mi 0.69, au 4.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.bilstm(base.get_config())
