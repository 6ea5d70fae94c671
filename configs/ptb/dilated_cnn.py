"""Text VAE with a dilated causal CNN as decoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/dilated_cnn.py --workdir=runs/ptb/dilated_cnn

Test, S = 20, after 3 epochs: nll_iw 113.54, kl 1.37, mi 1.35, au 3.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.dilated_cnn(base.get_config())
