"""Wasserstein autoencoder with a planar flow, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/wae_nf.py --workdir=runs/yelp_sentences/wae_nf

Test, S = 10, after 3 epochs: nll_iw 43.79, kl 12.29, mi 8.65, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.wae_nf(base.get_config())
