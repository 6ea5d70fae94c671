"""The paper's WAE, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_paper.py --workdir=runs/ptb/wae_paper

Test, S = 20, after 3 epochs in bfloat16: nll_iw 110.62, kl 0.09, mi 0.08, au 7.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_paper(base.get_config())
