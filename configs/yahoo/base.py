"""What all systems share on Yahoo Answers (Yang et al. 2017): E 512, H 1,024, batch 32.

100,000 texts; each line begins with its topic, which is read as a label.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the defaults with the corpus in `$WAE_RNF_DATA_DIR/yahoo`."""
    config = default.get_config()
    config.data.source = "text"
    config.data.path = "$WAE_RNF_DATA_DIR/yahoo"
    config.data.label = "leading"
    config.model.embedding_dim = 512
    config.model.hidden_dim = 1_024
    return config
