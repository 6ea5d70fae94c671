"""Text VAE trained against a lagging inference network, on the Penn Treebank.

wae-rnf train --config=configs/ptb/lagging.py --workdir=runs/ptb/lagging
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.lagging(base.get_config())
