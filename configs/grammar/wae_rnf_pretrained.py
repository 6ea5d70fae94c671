r"""WAE with a Riemannian flow, pretrained as an autoencoder, on the built-in corpus.

wae-rnf train --config=configs/grammar/wae_rnf_pretrained.py \
  --workdir=runs/grammar/wae_rnf_pretrained

Test, S = 100: nll_iw 23.82, kl 3.79, mi 3.70, au 16 (the exact mean is 23.125).
"""

from configs import systems
from configs.grammar import base


def get_config():
    """Returns the configuration."""
    config = systems.wae_rnf_pretrained(base.get_config())
    config.procedure.max_steps = (939,)  # 3 epochs
    return config
