"""Text VAE with a bidirectional encoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/bilstm.py --workdir=runs/grammar/bilstm

Test, S = 100: nll_iw 24.16, kl 2.05, mi 1.97, au 3 (the exact mean is 23.125).
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.bilstm(base.get_config())
