"""WAE with a Riemannian flow, pretrained as an autoencoder, on the Penn Treebank.

wae-rnf train --config=configs/ptb/wae_rnf_pretrained.py --workdir=runs/ptb/wae_rnf_pretrained
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_rnf_pretrained(base.get_config())
    config.procedure.max_steps = (13_150,)  # 10 epochs
    return config
