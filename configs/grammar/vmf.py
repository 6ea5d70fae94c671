"""Text VAE with von Mises–Fisher posteriors, on the built-in corpus.

wae-rnf train --config=configs/grammar/vmf.py --workdir=runs/grammar/vmf
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.vmf(base.get_config())
