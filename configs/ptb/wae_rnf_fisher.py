"""WAE whose flow evens out the Fisher–Rao metric of the sentence, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_fisher.py --workdir=runs/ptb/wae_rnf_fisher

Test, S = 100, after 10 epochs in bfloat16, λ up to .5: nll_iw 105.78, kl 5.88, mi 5.29, au 30;
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf_fisher(base.get_config())
