"""LSTM language model, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/lm.py --workdir=runs/yelp_sentences/lm
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.lm(base.get_config())
