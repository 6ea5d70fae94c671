"""Text VAE with semi-amortized posteriors, on the built-in corpus.

wae-rnf train --config=configs/grammar/semi_amortized.py --workdir=runs/grammar/semi_amortized
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.semi_amortized(base.get_config())
