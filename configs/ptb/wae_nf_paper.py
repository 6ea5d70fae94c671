"""The paper's WAE-NF, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf_paper.py --workdir=runs/ptb/wae_nf_paper

Test, S = 100, after 8 epochs in bfloat16: nll_iw 106.78, kl 0.46, mi 0.22, au 4.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf_paper(base.get_config())
