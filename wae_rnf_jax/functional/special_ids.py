"""The ids that mark what is no word; apart, so that text is prepared without loading jax."""

PAD_ID = 0
UNK_ID = 1
BOS_ID = 2
EOS_ID = 3
NUM_SPECIAL = 4
