"""What every key of a configuration must be: checked before anything is computed or written."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from wae_rnf_jax.errors import InputError, did_you_mean
from wae_rnf_jax.functional.objectives import OBJECTIVES
from wae_rnf_jax.models.autoencoder import NOT_CONFIGURED, TextAutoencoder
from wae_rnf_jax.models.decoders import DECODERS
from wae_rnf_jax.models.encoders import ENCODERS
from wae_rnf_jax.models.posteriors import POSTERIORS
from wae_rnf_jax.rules import (
    FINITE,
    FROM_0_TO_1,
    NAME,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    TEXT,
    Rule,
    Setting,
    number,
    one_of,
    settings,
    whole,
)
from wae_rnf_jax.training.config_agreement import disagreements
from wae_rnf_jax.training.data_rules import DATA_RULES
from wae_rnf_jax.training.parallel import BACKENDS
from wae_rnf_jax.training.procedures import PROCEDURES
from wae_rnf_jax.training.state import (
    KL_SCHEDULES,
    LEARNING_RATES,
    OPTIMIZERS,
    centers_from_file,
)
from wae_rnf_jax.training.unread import check_unread

_BELOW_1 = number("above 0 and below 1", lambda v: 0 < v < 1)

_RULES: dict[str, dict[str, Rule]] = {
    "data": DATA_RULES,
    "model": {
        name: setting.rule
        for name, setting in settings(TextAutoencoder, given=NOT_CONFIGURED).items()
    },
    "codebook": {
        "num_centers": whole(0),
        "num_codes": whole(1),
        "warm_up": whole(0),
        "refresh_every": whole(0),
        "num_iterations": whole(1),
        "floor": POSITIVE,
        "centers_file": TEXT,
    },
    "train": {
        "seed": SEED,
        "batch_size": whole(2),  # the unbiased MMD² compares different sentences
        "accumulate": whole(1),
        "mmd_group": Rule(
            "0 (all) or a whole number of at least 2", lambda v: v == 0 or whole(2).allows(v)
        ),
        "backend": one_of(*BACKENDS),
        "num_epochs": whole(1),
        "optimizer": one_of(*OPTIMIZERS),
        "momentum": SHARE,
        "weight_decay": NOT_NEGATIVE,
        "average": SHARE,
        "learning_rate": POSITIVE,
        "learning_rate_decay": one_of(*LEARNING_RATES),
        "plateau_factor": _BELOW_1,
        "plateau_patience": whole(1),
        "clip_norm": NOT_NEGATIVE,
        "eval_every": whole(0),
        "checkpoint_every": whole(0),
        "log_every": whole(1),
        "patience": whole(0),
        "select": one_of("best", "last"),
    },
}


class _Chosen(NamedTuple):
    """A section in which one key names a definition and the others are its arguments.

    Attributes:
      key: that names it.
      definitions: by their names.
      given: arguments that come from the run.
      rules: of arguments whose definition states none, as the pure functions' do.
    """

    key: str
    definitions: Mapping[str, Callable]
    given: tuple[str, ...] = ()
    rules: Mapping[str, Rule] = {}

    def settings(self, name: str) -> dict[str, Setting]:
        """The arguments that a definition takes from the configuration."""
        taken = settings(self.definitions[name], given=self.given)
        return {k: v._replace(rule=self.rules.get(k, v.rule)) for k, v in taken.items()}


_MODULE = ("parent", "name", "embedding_dim", "hidden_dim", "latent_dim", "initializers")
_CHOICES = {
    "encoder": _Chosen("name", ENCODERS, _MODULE),
    "posterior": _Chosen(
        "name",
        {name: family.module for name, family in POSTERIORS.items()},
        (*_MODULE, "input_dim", "axis_name"),
    ),
    "decoder": _Chosen("name", DECODERS, _MODULE),
    "procedure": _Chosen("name", PROCEDURES),
    "objective": _Chosen("name", OBJECTIVES, ("out", "ctx")),
    "kl_weight": _Chosen(
        "schedule",
        KL_SCHEDULES,
        ("steps_per_epoch", "num_steps"),
        {
            "start": FINITE,
            "length": POSITIVE,
            "period": whole(1),
            "rise": number("above 0 and at most 1", lambda v: 0 < v <= 1),
            "maximum": FROM_0_TO_1,
            "value": FROM_0_TO_1,
        },
    ),
}


def complete_config(config: ConfigDict, overridden: Collection[str] = ()) -> None:
    """Completes the sections that choose a definition, in place.

    Arguments that the definition has defaults for may be left out, and take them. What is left of
    another definition goes, if it is that one's default, or if the name was overridden and it was
    not.

    Args:
      config: the whole configuration; what is wrong with it, `check_config` says.
      overridden: keys set on the command line, with their sections.
    """
    for section, chosen in _CHOICES.items():
        if section not in config or not isinstance(config[section], ConfigDict):
            continue
        values = config[section]
        if values.get(chosen.key) not in tuple(chosen.definitions):  # it may be a list
            continue
        taken = chosen.settings(values[chosen.key])
        others = [chosen.settings(name) for name in chosen.definitions]
        with config.unlocked():
            renamed = f"{section}.{chosen.key}" in overridden
            for key in set(values) - {chosen.key, *taken}:
                of_another = [other[key].default for other in others if key in other]
                replaced = renamed and f"{section}.{key}" not in overridden
                if of_another and (replaced or values[key] in of_another):
                    del values[key]
            for key, setting in taken.items():
                if key not in values and setting.has_default:
                    values[key] = setting.default


def add_argument(config: ConfigDict, key: str) -> bool:
    """Gives a key that some definition of its section takes its default, in place.

    So an argument can be set together with the name of its definition, which a configuration of
    another one does not have.

    Args:
      config: the whole configuration.
      key: with its section, as `decoder.dilations`.

    Returns:
      Whether there is such an argument, with a default.
    """
    section, _, name = key.partition(".")
    if section not in _CHOICES or section not in config:
        return False
    chosen = _CHOICES[section]
    for definition in chosen.definitions:
        setting = chosen.settings(definition).get(name)
        if setting is not None and setting.has_default:
            with config.unlocked():
                config[section][name] = setting.default
            return True
    return False


def check_config(config: ConfigDict, overridden: Collection[str] = ()) -> None:
    """Completes a configuration and raises InputError for the first key that no run could use.

    Args:
      config: the whole configuration; see `complete_config` for what is added to it.
      overridden: keys set on the command line, with their sections.
    """
    complete_config(config, overridden)
    settings = config.to_dict()
    sections = {name: part for name, part in settings.items() if isinstance(part, dict)}
    outside = {name: value for name, value in settings.items() if name not in sections}
    _check_keys("", outside, {"system": NAME})
    for name in sections:
        if name not in (*_RULES, *_CHOICES):
            nearest = did_you_mean(name, (*_RULES, *_CHOICES), prefix="--config.")
            raise InputError(f"--config.{name}: there is no such section{nearest}")
    for name in (*_RULES, *_CHOICES):
        if name not in sections:
            raise InputError(f"--config.{name} is missing: configs/default.py has every section")
    for name, rules in _RULES.items():
        _check_keys(f"{name}.", sections[name], rules)
    for name, chosen in _CHOICES.items():
        _check_chosen(f"{name}.", sections[name], chosen)
    for key, value, rule in disagreements(**sections):
        raise InputError(f"--config.{key} is {value!r}: {rule}")
    check_unread(settings, _default_arguments(sections))
    centers_from_file(config)


def _default_arguments(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The defaults of the arguments of the definitions that the sections choose, by key."""
    return {
        f"{name}.{key}": setting.default
        for name, chosen in _CHOICES.items()
        for key, setting in chosen.settings(sections[name][chosen.key]).items()
        if setting.has_default
    }


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


def _check_chosen(prefix: str, values: Mapping[str, Any], chosen: _Chosen) -> None:
    """Checks a section in which one key names a definition and the others are its arguments."""
    key = chosen.key
    which = {key: one_of(*chosen.definitions)}
    _check_keys(prefix, {k: v for k, v in values.items() if k == key}, which)
    taken = {name: setting.rule for name, setting in chosen.settings(values[key]).items()}
    takes = f" when {key} is {values[key]} (it takes {', '.join(taken) or 'none'})"
    _check_keys(prefix, values, which | taken, takes)
