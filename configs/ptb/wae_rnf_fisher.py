"""WAE whose flow evens out the Fisher–Rao metric of the sentence, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_fisher.py --workdir=runs/ptb/wae_rnf_fisher
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_fisher(base.get_config())
