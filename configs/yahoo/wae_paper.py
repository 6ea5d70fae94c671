"""What the paper's code trains as WAE, on Yahoo Answers.

wae-rnf train --config=configs/yahoo/wae_paper.py --workdir=runs/yahoo/wae_paper
"""

from configs import systems
from configs.yahoo import base


def get_config():
    """Returns the configuration."""
    return systems.of_reviews(systems.wae_paper(base.get_config()))
