"""Text VAE on the unit sphere, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/vmf.py --workdir=runs/yelp_sentences/vmf
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.vmf(base.get_config())
