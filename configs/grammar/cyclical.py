"""Text VAE with four cycles of λ, on the built-in corpus.

wae-rnf train --config=configs/grammar/cyclical.py --workdir=runs/grammar/cyclical

Test, S = 100: nll_iw 24.30, kl 0.58, mi 0.53, au 1 (the exact mean is 23.125).
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.cyclical(base.get_config())
    config.kl_weight.period = 627  # 8 epochs have 2,504 steps
    return config
