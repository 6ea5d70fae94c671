"""The paper's WAE-RNF, switch for switch, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_paper.py --workdir=runs/grammar/wae_rnf_paper
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_rnf_paper(base.get_config())
    config.kl_weight.update(start=1_000, length=7_000, maximum=0.8)
    return config
