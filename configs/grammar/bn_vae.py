"""Text VAE whose means are normalized to a fixed scale, on the built-in corpus.

wae-rnf train --config=configs/grammar/bn_vae.py --workdir=runs/grammar/bn_vae

Test, S = 100: nll_iw 24.22, kl 3.03, mi 1.99, au 16 (the exact mean is 23.125).
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.bn_vae(base.get_config())
