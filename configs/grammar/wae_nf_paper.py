"""The paper's WAE-NF, switch for switch, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_nf_paper.py --workdir=runs/grammar/wae_nf_paper
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_nf_paper(base.get_config())
    config.kl_weight.update(start=1_000, length=7_000, maximum=0.8)
    return config
