"""The paper's WAE-NF, switch for switch, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_nf_paper.py --workdir=runs/ptb/wae_nf_paper

Test, S = 20, after 3 epochs in bfloat16: nll_iw 111.81, kl 1.98, mi 0.52, au 15.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf_paper(base.get_config())
