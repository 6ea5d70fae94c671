"""What all systems share on the built-in corpus: small sizes that train in minutes on two cores."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the defaults at small sizes, with annealing over the first epochs."""
    config = default.get_config()
    config.data.num_buckets = 3
    config.model.embedding_dim = 64
    config.model.hidden_dim = 128
    config.model.latent_dim = 16
    config.model.dropout = 0.05
    config.kl_weight.start = 150
    config.kl_weight.length = 1_000
    config.kl_weight.maximum = 1.0
    config.codebook.num_codes = 2048
    config.codebook.warm_up = 150
    config.codebook.refresh_every = 200
    config.train.batch_size = 64
    config.train.num_epochs = 8
    config.train.learning_rate = 4e-3
    return config
