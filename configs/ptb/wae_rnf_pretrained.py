"""WAE with a Riemannian flow, pretrained as an autoencoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_pretrained.py --workdir=runs/ptb/wae_rnf_pretrained

Test, S = 20, after 3 epochs: nll_iw 113.05, kl 6.39, mi 5.51, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_rnf_pretrained(base.get_config())
    config.procedure.max_steps = (13_150,)  # 10 epochs
    return config
