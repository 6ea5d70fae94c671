"""The paper's WAE-RNF, switch for switch, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_paper.py --workdir=runs/grammar/wae_rnf_paper

Test, S = 100: nll_iw 24.80 (the exact mean is 23.125), kl 1.34, mi .38;
nll_paper 18.62.
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_rnf_paper(base.get_config())
    config.kl_weight.update(start=1_000, length=7_000, maximum=0.8)
    return config
