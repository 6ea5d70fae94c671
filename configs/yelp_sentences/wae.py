"""Wasserstein autoencoder, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/wae.py --workdir=runs/yelp_sentences/wae
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.wae(base.get_config())
