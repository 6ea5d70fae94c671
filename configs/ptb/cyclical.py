"""Text VAE with four cycles of λ, on the Penn Treebank.

wae-rnf train --config=configs/ptb/cyclical.py --workdir=runs/ptb/cyclical
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = systems.cyclical(base.get_config())
    config.kl_weight.period = 15_781  # 48 epochs have 63,120 steps
    return config
