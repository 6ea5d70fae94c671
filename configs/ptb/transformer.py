"""Text VAE with transformers as encoder and decoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/transformer.py --workdir=runs/ptb/transformer
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.transformer(base.get_config())
