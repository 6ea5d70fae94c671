"""Decoders: from a code and the words so far to a vector at every position, one file each."""
