"""The corpus of a configuration."""

import os
from collections.abc import Mapping
from typing import Any

from wae_rnf_jax.data.corpora import Corpus, load_corpus
from wae_rnf_jax.errors import InputError, warn
from wae_rnf_jax.jobs.processes import is_first
from wae_rnf_jax.storage.files import home_expanded


def open_corpus(data: Mapping[str, Any], *, thorough: bool = False) -> Corpus:
    """Returns the corpus that a configuration names, prepared if it is not yet.

    Args:
      data: the section `data` of the configuration.
      thorough: whether all files of a corpus that was prepared before are read and checked.
    """
    settings = {name: value for name, value in data.items() if name != "num_buckets"}
    for name in ("path", "cache_dir", "vocabulary", "tokenizer"):
        given = settings[name]
        settings[name] = home_expanded(os.path.expandvars(given), f"--config.data.{name}: ")
        if "$" in settings[name]:
            raise InputError(
                f"--config.data.{name} is {given}, but that environment variable is not set: set "
                "it, or give the path itself"
            )
    corpus = load_corpus(**settings, thorough=thorough)
    for split, number in (corpus.skipped or {}).items():
        if number and is_first():
            warn(f"empty lines skipped in the {split} split: {number:,}")
    return corpus
