"""Text VAE with von Mises–Fisher posteriors, on the Penn Treebank.

wae-rnf train --config=configs/ptb/vmf.py --workdir=runs/ptb/vmf
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.vmf(base.get_config())
