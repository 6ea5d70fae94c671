"""What the paper's code trains as WAE-NF, on Yelp13.

wae-rnf train --config=configs/yelp13/wae_nf_paper.py --workdir=runs/yelp13/wae_nf_paper

Test, S = 10, after 5 epochs of 6,995 reviews in bfloat16: nll_iw 240.77, kl 3.46, mi 1.36, au 32.
docs/results.md has the commands.
"""

from configs import systems
from configs.yelp13 import base


def get_config():
    """Returns the configuration."""
    return systems.of_reviews(systems.wae_nf_paper(base.get_config()))
