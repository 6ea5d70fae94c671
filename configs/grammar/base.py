"""What all systems share on the built-in corpus: small sizes, minutes on two cores."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Returns the defaults at small sizes, with annealing over the first epochs."""
    config = default.get_config()
    config.data.num_buckets = 4
    config.model.embedding_dim = 64
    config.model.hidden_dim = 128
    config.model.latent_dim = 16
    config.model.dropout = 0.1
    config.kl_weight.start = 300
    config.kl_weight.length = 2_000
    config.codebook.num_codes = 2048
    config.codebook.warm_up = 300
    config.codebook.refresh_every = 200
    config.train.batch_size = 64
    config.train.num_epochs = 10
    return config
