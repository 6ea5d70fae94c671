"""The paper's WAE-RNF, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_paper.py --workdir=runs/ptb/wae_rnf_paper

Test, S = 20, after 3 epochs in bfloat16: nll_iw 112.47, kl 2.82, mi 0.72, au 21.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_paper(base.get_config())
