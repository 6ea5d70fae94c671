"""Text VAE with von Mises–Fisher posteriors, on the Penn Treebank.

wae-rnf train --config=configs/ptb/vmf.py --workdir=runs/ptb/vmf

Test, S = 20, after 3 epochs: nll_iw 113.36, kl 2.76, mi 1.72, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.vmf(base.get_config())
