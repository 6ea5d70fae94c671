"""LSTM language model, the baseline, on the Penn Treebank.

wae-rnf train --config=configs/ptb/lm.py --workdir=runs/ptb/lm

Test, after 8 epochs: NLL 106.55 (PPL 129.20); docs/results.md has the commands.
"""

from configs import systems
from configs.ptb import base


def get_config():
    """Returns the configuration."""
    return systems.lm(base.get_config())
