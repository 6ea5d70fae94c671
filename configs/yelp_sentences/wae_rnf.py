"""Wasserstein autoencoder with a Riemannian flow, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/wae_rnf.py --workdir=runs/yelp_sentences/wae_rnf

Test, S = 10, after 3 epochs: nll_iw 43.79, kl 12.28, mi 8.65, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.wae_rnf(base.get_config())
