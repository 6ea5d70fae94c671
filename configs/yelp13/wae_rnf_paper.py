"""What the paper's code trains as WAE-RNF, on Yelp13.

wae-rnf train --config=configs/yelp13/wae_rnf_paper.py --workdir=runs/yelp13/wae_rnf_paper
"""

from configs import systems
from configs.yelp13 import base


def get_config():
    """Returns the configuration."""
    return systems.of_reviews(systems.wae_rnf_paper(base.get_config()))
