"""Text VAE with free bits, pretrained as an autoencoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/free_bits.py --workdir=runs/grammar/free_bits
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.free_bits(base.get_config())
    config.procedure.max_steps = (939,)  # 3 epochs
    return config
