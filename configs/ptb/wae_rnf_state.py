"""WAE whose flow evens out the metric of the decoder's initial state, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_state.py --workdir=runs/ptb/wae_rnf_state

Test, S = 20, after 3 epochs: nll_iw 113.19, kl 1.53, mi 1.40, au 31.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_state(base.get_config())
