"""Procedures by name: functions that make a `Procedure`, one file each.

Their arguments are the configuration's `procedure` keys.
"""

from wae_rnf_jax.training.procedures.descent import descent

PROCEDURES = {"descent": descent}
