"""The paper's WAE-RNF, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_paper.py --workdir=runs/ptb/wae_rnf_paper

Test, S = 100, after 8 epochs: nll_iw 106.69, kl 0.59, mi 0.16, au 10.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_paper(base.get_config())
