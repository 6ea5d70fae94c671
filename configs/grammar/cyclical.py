"""Text VAE with four cycles of λ, on the built-in corpus.

wae-rnf train --config=configs/grammar/cyclical.py --workdir=runs/grammar/cyclical
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.cyclical(base.get_config())
    config.kl_weight.period = 627  # 8 epochs have 2,504 steps
    return config
