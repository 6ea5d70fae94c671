"""Wasserstein autoencoder with a Riemannian flow, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/wae_rnf.py --workdir=runs/yelp_sentences/wae_rnf
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf(base.get_config())
