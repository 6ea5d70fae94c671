"""WAE whose flow evens out the metric of the decoder's initial state, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_state.py --workdir=runs/grammar/wae_rnf_state
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_state(base.get_config())
