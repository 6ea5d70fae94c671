"""What the paper's code trains as WAE, on Yelp13.

wae-rnf train --config=configs/yelp13/wae_paper.py --workdir=runs/yelp13/wae_paper

Test, S = 10, after 5 epochs of 6,995 reviews in bfloat16: nll_iw 237.91, kl 0.09, mi 0.09, au 0.
docs/results.md has the commands.
"""

from configs import systems
from configs.yelp13 import base


def get_config():
    """Returns the configuration."""
    return systems.of_reviews(systems.wae_paper(base.get_config()))
