"""WAE whose flow is attracted to the centers of the codes, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_attract.py --workdir=runs/grammar/wae_rnf_attract
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_attract(base.get_config())
