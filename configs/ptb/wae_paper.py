"""What the paper's code trains as WAE, switch for switch, on Penn Treebank.

wae-rnf train --config=configs/ptb/wae_paper.py --workdir=runs/ptb/wae_paper
"""

from ml_collections import ConfigDict

from configs.ptb import base


def get_config() -> ConfigDict:
    """Returns the configuration of `wae_paper`."""
    config = base.get_config()
    config.system = "wae_paper"
    config.model.num_flow_steps = 0
    config.objective = ConfigDict({"name": "wae_paper", "mmd_weight": 10.0})
    config.codebook.num_centers = 0
    config.model.batch_norm = True
    config.model.dropout = 0.2
    config.model.initializer = "pytorch"
    config.train.clip_norm = 0.0
    config.train.learning_rate = 1e-3
    config.train.learning_rate_decay = "none"
    config.train.select = "last"
    config.kl_weight.schedule = "paper"
    return config
