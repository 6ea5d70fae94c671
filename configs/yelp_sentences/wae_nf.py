"""Wasserstein autoencoder with a planar flow, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/wae_nf.py --workdir=runs/yelp_sentences/wae_nf
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf(base.get_config())
