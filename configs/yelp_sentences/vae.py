"""Text VAE, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/vae.py --workdir=runs/yelp_sentences/vae
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.vae(base.get_config())
