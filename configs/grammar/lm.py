"""LSTM language model, the baseline, on the built-in corpus.

wae-rnf train --config=configs/grammar/lm.py --workdir=runs/grammar/lm

Test, S = 100: nll_iw 23.80 (the exact mean is 23.125).
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    return systems.lm(base.get_config())
