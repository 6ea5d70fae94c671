"""WAE whose flow is attracted to the centers of the codes, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_attract.py --workdir=runs/ptb/wae_rnf_attract
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_attract(base.get_config())
