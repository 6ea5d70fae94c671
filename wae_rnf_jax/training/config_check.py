"""What every key of a configuration must be: checked before anything is computed or written."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from wae_rnf_jax.data.corpora import SOURCES
from wae_rnf_jax.data.text import LABELS
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS
from wae_rnf_jax.errors import InputError, did_you_mean
from wae_rnf_jax.functional.flows import FLOWS
from wae_rnf_jax.models.features import FEATURES
from wae_rnf_jax.models.initializers import INITIALIZERS
from wae_rnf_jax.training.objectives import OBJECTIVES, WITH_CODEBOOK, WITH_FLOW
from wae_rnf_jax.training.parallel import BACKENDS
from wae_rnf_jax.training.state import KL_SCHEDULES, centers_from_file


class Rule(NamedTuple):
    """What a value must be: in words, after "it must be", and as a test."""

    words: str
    allows: Callable[[Any], bool]


def _whole(least: int, most: float = math.inf) -> Rule:
    words = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    return Rule(f"a whole number {words}", lambda v: type(v) is int and least <= v <= most)


def _number(words: str, test: Callable[[float], bool]) -> Rule:
    return Rule(words, lambda v: type(v) in (int, float) and math.isfinite(v) and test(v))


def _one_of(*names: str) -> Rule:
    return Rule(f"one of {', '.join(names)}", lambda v: isinstance(v, str) and v in names)


def _three(what: str, item: Rule) -> Rule:
    """Of the training, validation and test split."""
    return Rule(
        f"three {what} (training, validation, test)",
        lambda v: isinstance(v, tuple | list) and len(v) == 3 and all(map(item.allows, v)),
    )


_SWITCH = Rule("True or False", lambda v: isinstance(v, bool))
_TEXT = Rule("text", lambda v: isinstance(v, str))
_NAME = Rule("text, and not empty", lambda v: isinstance(v, str) and bool(v.strip()))
_SEED = _whole(0, 2**32 - 1)  # of greater ones JAX drops the upper half
_FINITE = _number("a number", lambda v: True)
_POSITIVE = _number("above 0", lambda v: v > 0)
_NOT_NEGATIVE = _number("at least 0", lambda v: v >= 0)
_SHARE = _number("at least 0 and below 1", lambda v: 0 <= v < 1)
_FROM_0_TO_1 = _number("from 0 to 1", lambda v: 0 <= v <= 1)
_INTEGER = Rule("a whole number", lambda v: type(v) is int)
_ANYTHING = Rule("a value", lambda v: True)
# An argument without a rule of its own is checked by its annotation.
_BY_TYPE = {bool: _SWITCH, str: _TEXT, float: _FINITE, int: _INTEGER}
_SMALLEST_SIZE = len(SPECIAL_WORDS) + 1

_RULES: dict[str, dict[str, Rule]] = {
    "data": {
        "source": _one_of(*SOURCES),
        "path": _TEXT,
        "label": _one_of(*LABELS),
        "dataset": _TEXT,
        "text_feature": _NAME,
        "splits": _three("names", _NAME),
        "min_count": _whole(1),
        "max_size": Rule(
            f"0 (no limit) or a whole number of at least {_SMALLEST_SIZE}, as "
            f"{len(SPECIAL_WORDS)} words are special",
            lambda v: v == 0 or _whole(_SMALLEST_SIZE).allows(v),
        ),
        "max_words": _whole(0),
        "vocabulary": _TEXT,
        "seed": _SEED,
        "num_sentences": _three("whole numbers of at least 1", _whole(1)),
        "cache_dir": _NAME,
        "num_workers": _whole(0),
        "num_buckets": _whole(1),
    },
    "model": {
        "embedding_dim": _whole(1),
        "hidden_dim": _whole(1),
        "latent_dim": _whole(0),
        "flow": _one_of(*FLOWS),
        "num_flow_steps": _whole(0),
        "batch_norm": _SWITCH,
        "initial_log_var": _FINITE,
        "z_every_step": _SWITCH,
        "tied_output": _SWITCH,
        "dropout": _SHARE,
        "word_dropout": _SHARE,
        "initializer": _one_of(*INITIALIZERS),
        "cross_entropy_block": _whole(1),
        "dtype": _one_of("float32", "bfloat16"),
    },
    "codebook": {
        "num_centers": _whole(0),
        "num_codes": _whole(1),
        "warm_up": _whole(0),
        "refresh_every": _whole(0),
        "num_iterations": _whole(1),
        "floor": _POSITIVE,
        "centers_file": _TEXT,
    },
    "train": {
        "seed": _SEED,
        "batch_size": _whole(2),  # the unbiased MMD² compares different sentences
        "accumulate": _whole(1),
        "backend": _one_of(*BACKENDS),
        "num_epochs": _whole(1),
        "learning_rate": _POSITIVE,
        "learning_rate_decay": _one_of("none", "linear", "cosine"),
        "clip_norm": _NOT_NEGATIVE,
        "eval_every": _whole(0),
        "checkpoint_every": _whole(0),
        "log_every": _whole(1),
        "patience": _whole(0),
        "select": _one_of("best", "last"),
    },
}
# Sections in which one key names a function and the others are its arguments.
_CHOICES = {
    "objective": (
        "name",
        OBJECTIVES,
        {
            "mmd_weight": _NOT_NEGATIVE,
            "rnf_weight": _NOT_NEGATIVE,
            "sharpness": _POSITIVE,
            "features": _one_of(*FEATURES),
        },
    ),
    "kl_weight": (
        "schedule",
        KL_SCHEDULES,
        {
            "start": _FINITE,
            "length": _POSITIVE,
            "period": _whole(1),
            "rise": _number("above 0 and at most 1", lambda v: 0 < v <= 1),
            "maximum": _FROM_0_TO_1,
            "value": _FROM_0_TO_1,
        },
    ),
}
_NOT_CONFIGURED = ("out", "ctx", "steps_per_epoch")  # arguments that come from the run


def check_config(config: ConfigDict) -> None:
    """Raises InputError for the first key or value that no run could use, and says what it could.

    Args:
      config: the whole configuration.
    """
    settings = config.to_dict()
    sections = {name: part for name, part in settings.items() if isinstance(part, dict)}
    outside = {name: value for name, value in settings.items() if name not in sections}
    _check_keys("", outside, {"system": _NAME})
    for name in sections:
        if name not in (*_RULES, *_CHOICES):
            nearest = did_you_mean(name, (*_RULES, *_CHOICES), prefix="--config.")
            raise InputError(f"--config.{name}: there is no such section{nearest}")
    for name in (*_RULES, *_CHOICES):
        if name not in sections:
            raise InputError(f"--config.{name} is missing: configs/default.py has every section")
    for name, rules in _RULES.items():
        _check_keys(f"{name}.", sections[name], rules)
    for name, (choice, choices, rules) in _CHOICES.items():
        _check_chosen(f"{name}.", sections[name], choice, choices, rules)
    for key, value, rule in _disagreements(**sections):
        raise InputError(f"--config.{key} is {value!r}: {rule}")
    centers_from_file(config)


def _check_keys(
    prefix: str, settings: Mapping[str, Any], rules: Mapping[str, Rule], more: str = ""
) -> None:
    for key in settings:
        if key not in rules:
            nearest = did_you_mean(key, rules, prefix=f"--config.{prefix}")
            raise InputError(f"--config.{prefix}{key}: there is no such key{more}{nearest}")
    for key, rule in rules.items():
        if key not in settings:
            raise InputError(f"--config.{prefix}{key} is missing{more}: it must be {rule.words}")
        value = settings[key]
        if not rule.allows(value):
            raise InputError(f"--config.{prefix}{key} is {value!r}: it must be {rule.words}")


def _check_chosen(
    prefix: str,
    settings: Mapping[str, Any],
    choice: str,
    choices: Mapping[str, Callable],
    rules: Mapping[str, Rule],
) -> None:
    """Checks a section in which one key names a function and the others are its arguments."""
    which = {choice: _one_of(*choices)}
    _check_keys(prefix, {k: v for k, v in settings.items() if k == choice}, which)
    parameters = inspect.signature(choices[settings[choice]]).parameters
    taken = {
        name: rules.get(name, _BY_TYPE.get(parameter.annotation, _ANYTHING))
        for name, parameter in parameters.items()
        if name not in _NOT_CONFIGURED
    }
    takes = f" where {choice} is {settings[choice]} (it takes {', '.join(taken) or 'none'})"
    _check_keys(prefix, settings, which | taken, takes)


def _disagreements(
    *, model: dict, objective: dict, kl_weight: dict, codebook: dict, **others: dict
) -> Iterator[tuple[str, Any, str]]:
    """Keys whose values do not go together: (key, value, what is wrong)."""
    name, latent_dim = objective["name"], model["latent_dim"]
    if (name == "lm") == bool(latent_dim):
        needed = "0" if name == "lm" else "at least 1"
        yield "model.latent_dim", latent_dim, f"objective {name} needs {needed}"
    for key, value, needing in (
        ("model.num_flow_steps", model["num_flow_steps"], WITH_FLOW),
        ("codebook.num_centers", codebook["num_centers"], WITH_CODEBOOK),
    ):
        if value and name == "lm":
            yield key, value, "objective lm has no latent code and needs 0"
        if not value and name in needing:
            yield key, value, f"objective {name} needs at least 1"
    highest = kl_weight["value" if kl_weight["schedule"] == "constant" else "maximum"]
    if "mmd_weight" in objective and objective["mmd_weight"] < highest:
        rule = f"it must be at least the highest kl_weight, {highest}, which is taken from it"
        yield "objective.mmd_weight", objective["mmd_weight"], rule
    if codebook["refresh_every"]:
        if codebook["num_codes"] < codebook["num_centers"]:
            rule = f"it must be at least num_centers, {codebook['num_centers']}"
            yield "codebook.num_codes", codebook["num_codes"], rule
        if codebook["centers_file"]:
            rule = "it is read for fixed centres alone, so codebook.refresh_every must be 0"
            yield "codebook.centers_file", codebook["centers_file"], rule
    dims = model["embedding_dim"], model["hidden_dim"]
    if model["tied_output"] and dims[0] != dims[1]:
        rule = "it needs embedding_dim ({}) and hidden_dim ({}) to be equal".format(*dims)
        yield "model.tied_output", True, rule
