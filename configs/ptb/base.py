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


def larger(config: ConfigDict) -> ConfigDict:
    """Eight million parameters, of which the words' are shared, and dropout that suits them."""
    config.model.update(
        embedding_dim=400,
        hidden_dim=800,
        tied_output=True,
        dropout=0.5,
        locked_dropout=True,
        embedding_dropout=0.1,
        dtype="bfloat16",
    )
    config.decoder.recurrent_dropout = 0.3
    config.train.update(batch_size=64, num_epochs=16, learning_rate=3e-3)
    return config
