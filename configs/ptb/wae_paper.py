"""The paper's WAE, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_paper.py --workdir=runs/ptb/wae_paper
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_paper(base.get_config())
