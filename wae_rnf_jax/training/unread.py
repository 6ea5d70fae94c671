"""Settings that only some runs read, and the refusal of those that this one does not.

A value other than the default that nothing in a run reads is a mistake: the run would not be the
one that was asked for. `READ_WHERE` says what is read when; the check, its message and the
comparison of a resumed run all come from it.
"""

import functools
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from wae_rnf_jax.config_files import loaded_config, shipped_folder
from wae_rnf_jax.data.pieces import TRAINED
from wae_rnf_jax.data.tokenizers import TOKENIZERS
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.objectives import WITH_METRIC, WITHOUT_KL_WEIGHT, WITHOUT_MMD
from wae_rnf_jax.rules import Rule
from wae_rnf_jax.runs.versions import config_leaves


def _is(*values: Any) -> Rule:
    return Rule(f"is {' or '.join(map(str, values))}", lambda value: value in values)


def _is_not(*values: Any) -> Rule:
    return Rule(f"is not {' or '.join(map(str, values))}", lambda value: value not in values)


_IS_ABOVE_0 = Rule("is above 0", lambda value: value > 0)
_REFRESHED = "codebook.num_codes codebook.warm_up codebook.num_iterations"
# What is read, as patterns, where a key is as a rule says; what no row has is read in every run.
READ_WHERE = (
    ("data.path", "data.source", _is("text", "table", "tfds")),
    ("data.label", "data.source", _is("text")),
    ("data.dataset data.text_feature data.splits", "data.source", _is("tfds")),
    ("data.text_field data.label_field data.group_field", "data.source", _is("table")),
    ("data.fractions", "data.source", _is("text", "table")),
    ("data.seed", "data.source", _is("grammar", "text", "table")),
    ("data.num_sentences", "data.source", _is("grammar")),
    ("data.vocab_size", "data.tokenizer", _is(*TRAINED)),
    ("data.min_count data.max_size data.vocabulary", "data.tokenizer", _is_not(*TRAINED)),
    ("data.lower_case data.nfc", "data.tokenizer", _is(*TOKENIZERS)),
    ("encoder.* posterior.* decoder.z_*", "model.latent_dim", _IS_ABOVE_0),
    ("model.shared_embedding model.encoder_word_dropout", "model.latent_dim", _IS_ABOVE_0),
    ("model.flow", "model.num_flow_steps", _IS_ABOVE_0),
    ("model.locked_dropout", "model.dropout", _IS_ABOVE_0),
    ("kl_weight.*", "objective.name", _is_not(*sorted(WITHOUT_KL_WEIGHT))),
    (f"codebook.refresh_every {_REFRESHED}", "codebook.num_centers", _IS_ABOVE_0),
    ("codebook.floor codebook.centers_file", "codebook.num_centers", _IS_ABOVE_0),
    (_REFRESHED, "codebook.refresh_every", _IS_ABOVE_0),
    ("codebook.centers_file", "codebook.refresh_every", _is(0)),
    ("codebook.floor", "objective.name", _is(*sorted(WITH_METRIC))),
    ("train.mmd_group", "objective.name", _is_not(*sorted(WITHOUT_MMD))),
    ("train.momentum", "train.optimizer", _is("sgd")),
    ("train.weight_decay", "train.optimizer", _is("adamw")),
    ("train.plateau_*", "train.learning_rate_decay", _is("plateau")),
)


def check_unread(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises InputError for the first setting that is not its default and that nothing reads.

    Args:
      config: the whole configuration, each of its values checked.
      arguments: defaults of the arguments of the definitions that it chooses, by key.
    """
    defaults = {**arguments, **_defaults()}
    for key, value in config_leaves(config).items():
        reason = _why_unread(key, config)
        if reason and not (key in defaults and _plain(value) == _plain(defaults[key])):
            wrong = f"--config.{key} is {value!r}, but nothing in this run reads it"
            raise InputError(f"{wrong}: {reason}")


def is_read(key: str, config: Mapping[str, Any]) -> bool:
    """Whether a run of a configuration reads a key."""
    return not _why_unread(key, config)


def _why_unread(key: str, config: Mapping[str, Any]) -> str:
    leaves = config_leaves(config)
    for patterns, other, rule in READ_WHERE:
        matches = any(fnmatchcase(key, pattern) for pattern in patterns.split())
        if matches and not rule.allows(leaves[other]):
            return f"it is read only if {other} {rule.words}, and {other} is {leaves[other]!r}"
    return ""


def _plain(value: Any) -> Any:
    """A tuple as a list, which a file of one's own may have in its place."""
    return list(value) if isinstance(value, tuple) else value


@functools.cache
def _defaults() -> dict[str, Any]:
    """What the package's configs/default.py sets."""
    return config_leaves(loaded_config(str(shipped_folder() / "default.py")).to_dict())
