"""Text VAE on the unit sphere, on sentences of Yelp reviews.

wae-rnf train --config=configs/yelp_sentences/vmf.py --workdir=runs/yelp_sentences/vmf

Test, S = 10, after 3 epochs: nll_iw 41.62, kl 2.75, mi 1.48, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.yelp_sentences import base


def get_config():
    """Returns the configuration."""
    return systems.vmf(base.get_config())
