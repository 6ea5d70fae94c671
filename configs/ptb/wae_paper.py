"""The paper's WAE, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_paper.py --workdir=runs/ptb/wae_paper

Test, S = 100, after 8 epochs in bfloat16: nll_iw 106.17, kl 0.40, mi 0.40, au 1.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_paper(base.get_config())
