"""Text VAE with semi-amortized posteriors, on the Penn Treebank.

wae-rnf train --config=configs/ptb/semi_amortized.py --workdir=runs/ptb/semi_amortized
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.semi_amortized(base.get_config())
