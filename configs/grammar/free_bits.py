"""Text VAE with free bits, pretrained as an autoencoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/free_bits.py --workdir=runs/grammar/free_bits

Test, S = 100: nll_iw 23.93, kl 5.58, mi 4.23, au 16 (the exact mean is 23.125).
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.free_bits(base.get_config())
    config.procedure.max_steps = (939,)  # 3 epochs
    return config
