"""Text VAE with a dilated causal CNN as decoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/dilated_cnn.py --workdir=runs/grammar/dilated_cnn
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.dilated_cnn(base.get_config())
