"""What all systems share on Yelp13 (Xu & Durrett 2018): the paper's sizes, batch 32, 48 epochs.

Its 62,522 reviews are cut at 50 words; each line begins with its rating, read as a label.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the defaults with the corpus in `$WAE_RNF_DATA_DIR/yelp13`."""
    config = default.get_config()
    config.data.source = "text"
    config.data.path = "$WAE_RNF_DATA_DIR/yelp13"
    config.data.label = "leading"
    config.data.max_words = 50
    return config
