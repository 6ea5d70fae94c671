"""WAE whose flow evens out the Fisher–Rao metric of the sentence, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_fisher.py --workdir=runs/grammar/wae_rnf_fisher
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_fisher(base.get_config())
