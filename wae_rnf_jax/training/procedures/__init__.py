"""Procedures by name: functions that make a `Procedure`, one file each.

Their arguments are the configuration's `procedure` keys.
"""

from wae_rnf_jax.training.procedures.descent import descent
from wae_rnf_jax.training.procedures.lagging import lagging
from wae_rnf_jax.training.procedures.pretrained import pretrained
from wae_rnf_jax.training.procedures.semi_amortized import semi_amortized

PROCEDURES = {
    "descent": descent,
    "semi_amortized": semi_amortized,
    "lagging": lagging,
    "pretrained": pretrained,
}
