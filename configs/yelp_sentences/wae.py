"""Wasserstein autoencoder, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/wae.py --workdir=runs/yelp_sentences/wae

Test, S = 10, after 3 epochs: nll_iw 43.58, kl 11.74, mi 8.53, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.wae(base.get_config())
