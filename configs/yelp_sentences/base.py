"""What all systems share on sentences of Yelp reviews: the paper's sizes, batch 64, 10 epochs.

Up to 15 words each; a line begins with its sentiment and a tab, which is read as a label.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the defaults with the corpus in `$WAE_RNF_DATA_DIR/yelp_sentences`."""
    config = default.get_config()
    config.data.source = "text"
    config.data.path = "$WAE_RNF_DATA_DIR/yelp_sentences"
    config.data.label = "leading"
    config.data.num_buckets = 5
    config.model.dropout = 0.3
    config.kl_weight.start = 2_000
    config.kl_weight.length = 10_000
    config.kl_weight.maximum = 0.5
    config.train.batch_size = 64
    config.train.num_epochs = 10
    config.train.learning_rate = 2e-3
    return config
