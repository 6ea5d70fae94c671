"""Text VAE with transformers as encoder and decoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/transformer.py --workdir=runs/grammar/transformer
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.transformer(base.get_config())
