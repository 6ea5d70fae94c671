"""Wasserstein autoencoder with a planar flow, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_nf.py --workdir=runs/grammar/wae_nf
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf(base.get_config())
