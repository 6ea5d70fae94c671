"""WAE whose flow is repelled from the centers of the codes, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_repel.py --workdir=runs/grammar/wae_rnf_repel
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_repel(base.get_config())
