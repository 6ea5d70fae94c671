"""Text VAE whose means are normalized to a fixed scale, on the built-in corpus.

wae-rnf train --config=configs/grammar/bn_vae.py --workdir=runs/grammar/bn_vae
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.bn_vae(base.get_config())
