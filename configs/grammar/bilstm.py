"""Text VAE with a bidirectional encoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/bilstm.py --workdir=runs/grammar/bilstm
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.bilstm(base.get_config())
