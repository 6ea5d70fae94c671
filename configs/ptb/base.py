"""What all systems share on the Penn Treebank: the paper's sizes, batch 32, 48 epochs.

Learning rate and dropout are this project's own; the `*_paper` configurations use the paper's.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the defaults with the corpus in `$WAE_RNF_DATA_DIR/ptb`."""
    config = default.get_config()
    config.data.source = "text"
    config.data.path = "$WAE_RNF_DATA_DIR/ptb"
    config.model.dropout = 0.5
    config.train.learning_rate = 2e-3
    return config
