r"""WAE with a Riemannian flow, pretrained as an autoencoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_pretrained.py \
  --workdir=runs/grammar/wae_rnf_pretrained
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_rnf_pretrained(base.get_config())
    config.procedure.max_steps = (939,)  # 3 epochs
    return config
