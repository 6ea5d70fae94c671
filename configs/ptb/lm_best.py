"""The best language model of eight million parameters, on the Penn Treebank.

wae-rnf train --config=configs/ptb/lm_best.py --workdir=runs/best/lm

Validation, after 14 of 16 epochs: NLL 99.68; docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    config = base.larger(systems.lm(base.get_config()))
    config.system = "lm_best"
    return config
