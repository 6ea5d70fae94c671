"""What the processes of a job must have in common, checked before they train.

Each holds a copy of the parameters and applies the same updates to it; where programs, settings or
data differ, the copies part without a sign, or the processes wait for each other for ever.
"""

import hashlib
import os
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import flatten_dict

from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.jobs.processes import gathered

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
SETTINGS = (  # of JAX: those that change numbers
    "jax_debug_nans",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_enable_x64",
    "jax_threefry_partitionable",
)
ENVIRONMENT = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
# Where a host keeps its files; what is in them is compared.
PLACES = {"data.cache_dir", "data.path", "data.tokenizer", "data.vocabulary"}
_SHOWN = 4  # processes that a message names, and differences


def check_agreement(facts: Mapping[str, Any]) -> None:
    """Compares facts between all processes.

    Args:
      facts: name -> what JSON can hold; the same names on every process that runs the same code.

    Raises:
      InputError: some differ; raised by every process, and naming them and the processes.
    """
    of_process = gathered(dict(facts))
    names = dict.fromkeys(name for facts in of_process for name in facts)
    differing = [
        f"{name} is {_by_value([facts.get(name, 'absent') for facts in of_process])}"
        for name in names
        if any(facts.get(name) != of_process[0].get(name) for facts in of_process)
    ]
    if differing:
        more = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise InputError(
            f"the processes differ: {'; '.join(differing[:_SHOWN])}{more}: start all of them with "
            "the same code, data and command"
        )


def program_facts() -> dict[str, Any]:
    """Returns what numbers depend on beside configuration and corpus."""
    device = jax.local_devices()[0]
    return {
        "the code of wae_rnf_jax": code_digest(),
        **{f"the version of {name}": metadata.version(name) for name in PACKAGES},
        **{name: str(getattr(jax.config, name)) for name in SETTINGS},
        **{name: os.environ.get(name, "") for name in ENVIRONMENT},
        "the kind of device": f"{device.platform} {device.device_kind}",
    }


def config_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of a configuration, without those that may differ between hosts."""
    leaves = flatten_dict(dict(config), sep=".")
    return {f"config.{key}": value for key, value in leaves.items() if key not in PLACES}


def corpus_facts(corpus: Corpus) -> dict[str, str]:
    """Returns digests of a corpus."""
    words = "\n".join(corpus.vocabulary.words)
    return {
        "the vocabulary": hashlib.sha256(words.encode()).hexdigest()[:16],
        "the fingerprint of the data": corpus.fingerprint[:16],
    }


@cache
def code_digest() -> str:
    """Returns a digest of the package's source files."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _by_value(values: list[Any]) -> str:
    """Says which processes have which value: `1 on process 0 and 2 on processes 1, 2`."""
    holders: dict[str, list[int]] = {}
    for process, value in enumerate(values):
        holders.setdefault(str(value) or "empty", []).append(process)
    return " and ".join(f"{value} on {_named(ids)}" for value, ids in holders.items())


def _named(ids: list[int]) -> str:
    if len(ids) == 1:
        return f"process {ids[0]}"
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"processes {', '.join(map(str, ids[:_SHOWN]))}{more}"
