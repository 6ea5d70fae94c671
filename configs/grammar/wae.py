"""Wasserstein autoencoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae.py --workdir=runs/grammar/wae
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae(base.get_config())
