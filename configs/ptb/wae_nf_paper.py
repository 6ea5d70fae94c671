"""The paper's WAE-NF, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf_paper.py --workdir=runs/ptb/wae_nf_paper
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf_paper(base.get_config())
