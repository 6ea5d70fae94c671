"""Runs of earlier versions: their configurations and states in the terms of this one.

Everything that has moved stands in the tables below, and nowhere else. A run is known by its
settings under their first names, so that one that was begun by an earlier version is the same run
here; a setting that is newer than a run, at the value that the run had all along, is not counted.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax

from wae_rnf_jax.errors import InputError

# Keys of a configuration by their first names, and what they are now.
MOVED = {
    "model.batch_norm": "posterior.batch_norm",
    "model.initial_log_var": "posterior.initial_log_var",
    "model.z_every_step": "decoder.z_every_step",
}
# Keys that were added, at the values that all runs had before.
ADDED = {
    "data.fractions": [0.8, 0.1, 0.1],
    "data.text_field": "text",
    "data.label_field": "",
    "data.group_field": "",
    "data.tokenizer": "whitespace",
    "data.vocab_size": 8_000,
    "data.lower_case": False,
    "data.nfc": False,
    "encoder.name": "lstm",
    "posterior.name": "gaussian",
    "decoder.name": "lstm",
    "procedure.name": "descent",
    "procedure.compare_every": 0,
    "posterior.mean_scale": 0.0,
    "objective.kl_floor": 0.0,
    "objective.biased_mmd": False,
    "objective.one_in": 1,
    "objective.num_words": 0,
    "model.shared_embedding": True,
    "model.locked_dropout": False,
    "model.embedding_dropout": 0.0,
    "model.encoder_word_dropout": 0.0,
    "encoder.recurrent_dropout": 0.0,
    "encoder.state_dim": 0,
    "decoder.recurrent_dropout": 0.0,
    "decoder.z_output": False,
    "train.average": 0.0,
    "train.mmd_group": 0,
    "train.optimizer": "adam",
    "train.momentum": 0.0,
    "train.weight_decay": 0.0,
    "train.plateau_factor": 0.5,
    "train.plateau_patience": 3,
}
# Paths in a saved state, as patterns, and what they are now; "" has gone. They are followed where
# there is the path that all states before this change have, and none since.
_BEFORE_OUTPUT_LAYER = "params/decoder/output_bias"
_PATHS = (
    (r"(^|/)decoder/output_(kernel|bias)$", r"\1output_layer/\2"),
    (r"^opt_state/1/1/count$", ""),  # of the learning rate, which the procedure's clock is for
    (r"^opt_state/1/0/", "opt_state/1/"),
)


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a workdir's configuration under this version's keys.

    >>> old = {"model": {"hidden_dim": 8, "batch_norm": True}}
    >>> new = current_config(old)
    >>> new["model"], new["posterior"]
    ({'hidden_dim': 8}, {'batch_norm': True, 'name': 'gaussian'})
    """
    leaves = {MOVED.get(key, key): value for key, value in config_leaves(config).items()}
    names = {key: value for key, value in ADDED.items() if key.endswith(".name")}
    return in_sections({**leaves, **{k: v for k, v in names.items() if k not in leaves}})


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that make a run what it is, under their first names.

    >>> identity({"model": {"shared_embedding": True}, "posterior": {"batch_norm": False}})
    {'model.batch_norm': False}
    """
    first_names = {new: old for old, new in MOVED.items()}
    return {
        first_names.get(key, key): value
        for key, value in config_leaves(config).items()
        if not (key in ADDED and _as_read(value) == ADDED[key])
    }


def _as_read(value: Any) -> Any:
    """A value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def config_leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration's values by their keys, dotted, in their order.

    Sections lie one deep; a workdir's own record beside them, of another run, may be a dict too.
    """
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            leaves |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            leaves[key] = value
    return leaves


def in_sections(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of values by their dotted keys: `config_leaves`, undone."""
    result: dict[str, Any] = {}
    for key, value in leaves.items():
        section, _, name = key.rpartition(".")
        (result.setdefault(section, {}) if section else result)[name] = value
    return result


def current_state(state: Any) -> dict[str, Any]:
    """Returns the arrays of a training state, read as dicts and lists, by this version's paths."""
    leaves = named_arrays(state)
    if _BEFORE_OUTPUT_LAYER not in leaves:
        return leaves
    moved: dict[str, Any] = {}
    for path, value in leaves.items():
        for pattern, now in _PATHS:
            path = re.sub(pattern, now, path)
        moved[path] = value
    moved.pop("", None)
    return moved


def fitted(state: Any, like: Any, *, place: str) -> Any:
    """Puts a state that was read as dicts and lists into a structure.

    Args:
      state: of this version or an earlier one.
      like: pytree of arrays with its structure, shapes and dtypes.
      place: where the state was read, for the message.

    Raises:
      InputError: it has other arrays.
    """
    found = current_state(state)
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {_name(path): leaf for path, leaf in paths}
    for path in sorted(wanted | found):
        there, here = (
            f"{x[path].dtype}{list(x[path].shape)}" if path in x else "absent"
            for x in (found, wanted)
        )
        if there != here:
            raise InputError(
                f"--workdir: {place} is intact but does not fit this version's model ({path} is "
                f"{there} there and {here} here): use the version that trained it, or name another "
                "workdir"
            )
    return jax.tree.unflatten(structure, [found[path] for path in wanted])


def named_arrays(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a pytree by their paths, which tuples, lists and dicts have alike."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def nested(leaves: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Returns the arrays below a path as nested dicts."""
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        if not path.startswith(f"{root}/"):
            continue
        *folders, name = path.removeprefix(f"{root}/").split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = value
    return tree


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
