"""Wasserstein autoencoder on the unit sphere, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_vmf.py --workdir=runs/grammar/wae_vmf
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae_vmf(base.get_config())
