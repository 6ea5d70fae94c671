"""Text VAE trained against a lagging inference network, on the built-in corpus.

wae-rnf train --config=configs/grammar/lagging.py --workdir=runs/grammar/lagging
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.lagging(base.get_config())
