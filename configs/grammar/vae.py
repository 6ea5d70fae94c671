"""Text VAE with linear annealing, on the built-in corpus.

wae-rnf train --config=configs/grammar/vae.py --workdir=runs/grammar/vae
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.vae(base.get_config())
