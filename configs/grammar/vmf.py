"""Text VAE with von Mises–Fisher posteriors, on the built-in corpus.

wae-rnf train --config=configs/grammar/vmf.py --workdir=runs/grammar/vmf

Test, S = 100: nll_iw 23.92 (the exact mean is 23.125), kl 3.65, mi 1.81, au 16.
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.vmf(base.get_config())
