"""What the paper's code trains as WAE-RNF, switch for switch, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_paper.py --workdir=runs/grammar/wae_rnf_paper
"""

from ml_collections import ConfigDict

from configs.grammar import base


def get_config() -> ConfigDict:
    """Returns the configuration of `wae_rnf_paper`."""
    config = base.get_config()
    config.system = "wae_rnf_paper"
    config.model.flow = "planar_paper"
    config.objective = ConfigDict(
        {"name": "wae_rnf_paper", "mmd_weight": 10.0, "rnf_weight": 1.0, "sharpness": 0.5}
    )
    config.codebook.refresh_every = 0  # fixed centres
    config.model.batch_norm = True
    config.model.initializer = "pytorch"
    config.train.clip_norm = 0.0
    config.train.learning_rate = 1e-3
    config.train.learning_rate_decay = "none"
    config.train.select = "last"
    config.kl_weight.schedule = "paper"  # it counts 2,000 steps an epoch
    config.kl_weight.start = 1_000
    config.kl_weight.length = 7_000
    config.kl_weight.maximum = 0.8
    return config
