"""What the paper's code trains as WAE-RNF, on Yahoo Answers.

wae-rnf train --config=configs/yahoo/wae_rnf_paper.py --workdir=runs/yahoo/wae_rnf_paper
"""

from configs import systems
from configs.yahoo import base


def get_config():
    """Returns the configuration."""
    return systems.of_reviews(systems.wae_rnf_paper(base.get_config()))
