"""The best language model of eight million parameters, on the Penn Treebank.

wae-rnf train --config=configs/ptb/lm_best.py --workdir=runs/best/lm

Test: NLL 98.70 (PPL 90.31), by the checkpoint of epoch 14.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = base.larger(systems.lm(base.get_config()))
    config.system = "lm_best"
    return config
