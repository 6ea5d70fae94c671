"""Starting from parts of another run's model.

A part is a piece of the parameter tree by its path: a module, as `wae-rnf info` lists them
(`decoder`), or what lies in it (`decoder/lstm`). What both models have of it is taken over, batch
statistics included; the rows of words go to the same words, whatever their ids. All else stays as
it was drawn: a language model's decoder, say, has no layer that reads a code.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.models.autoencoder import TextAutoencoder, initial_variables
from wae_rnf_jax.runs.remote import local_workdir
from wae_rnf_jax.runs.trained_model import load_trained_model
from wae_rnf_jax.training.flags import Origin
from wae_rnf_jax.training.recipe import TrainState

# The axis of V in what has one entry a word.
VOCABULARY_AXES = {
    "embedding": 0,
    "encoder_embedding": 0,
    "output_layer/kernel": 1,
    "output_layer/bias": 0,
}
# Settings of the model that shapes are made of.
SIZES = ("model.embedding_dim", "model.hidden_dim", "model.latent_dim", "model.num_flow_steps")
# Settings under which the same numbers of a module mean something else.
MEANINGS = {
    "flow_stack": ("model.flow",),
    "encoder": ("encoder.num_heads", "model.shared_embedding"),
    "output_layer": ("model.tied_output",),
    "posterior": ("posterior.initial_log_var", "posterior.batch_norm", "posterior.mean_scale"),
    "decoder": ("decoder.dilations", "decoder.num_heads"),
}


class Transfer(NamedTuple):
    """What is taken over, before it is put into a state.

    Attributes:
      workdir: of the other run.
      step: its checkpoint's.
      values: arrays by collection and path, as they are there.
      fresh: paths of what keeps its fresh values.
      left: paths of what there is of the parts there, and not in the new model.
      rows: [V] where each word stands in the other vocabulary; -1 for a new word.
    """

    workdir: str
    step: int
    values: dict[str, jax.Array]
    fresh: tuple[str, ...]
    left: tuple[str, ...]
    rows: np.ndarray

    def applied(self, variables: dict[str, dict]) -> dict[str, dict]:
        """Returns fresh variables with the values in their places."""
        leaves = flatten_dict(variables, sep="/")
        for name, value in self.values.items():
            axis = VOCABULARY_AXES.get(_path(name))
            if axis is not None:
                shape = [1] * value.ndim
                shape[axis] = -1
                moved = np.take(np.asarray(value), self.rows, axis)
                value = np.where((self.rows >= 0).reshape(shape), moved, leaves[name])
            leaves[name] = jnp.asarray(value)
        return unflatten_dict(leaves, sep="/")

    def into(self, state: TrainState, optimizer: optax.GradientTransformation) -> TrainState:
        """Returns a run's first state with the values in their places."""
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        variables = {"batch_stats": {}, **self.applied(variables)}
        if state.average is not None:
            variables["average"] = jax.tree.map(jnp.copy, variables["params"])
        return state.replace(**variables, opt_state=optimizer.init(variables["params"]))

    def record(self) -> dict[str, Any]:
        """Returns what was taken, in a few words, as JSON takes it."""
        taken = sorted(_path(name) for name in self.values)
        found = {}
        if VOCABULARY_AXES.keys() & set(taken):
            found = {"vocab_size": len(self.rows), "words_found": int((self.rows >= 0).sum())}
        return {
            "workdir": self.workdir,
            "step": self.step,
            **found,
            "taken": _in_short(taken, self.fresh),
            "fresh": _in_short(self.fresh, taken),
            "left": _in_short(self.left, [*taken, *self.fresh]),
        }

    def lines(self) -> list[str]:
        """Returns the record for people."""
        record = self.record()
        lines = [f"{'starts from':12} {self.workdir}, step {self.step:,}"]
        if "vocab_size" in record:
            size, found = record["vocab_size"], record["words_found"]
            new = f"; the other {size - found:,} are initialized afresh" if found < size else ""
            lines.append(f"{'words':12} {found:,} of {size:,} found there{new}")
        names = ("taken", "fresh", "left") if self.left else ("taken", "fresh")
        return [*lines, *(f"{name:12} {', '.join(record[name]) or 'nothing'}" for name in names)]


def planned_transfer(origin: Origin, model: TextAutoencoder, vocabulary: Vocabulary) -> Transfer:
    """Reads another run's model and says what of it a new one takes; nothing is computed yet.

    Args:
      origin: the other run and the parts.
      model: the new one.
      vocabulary: of the new run's corpus.

    Raises:
      InputError: there is no such run or part, or a part has other sizes in it.
    """
    try:
        source = load_trained_model(local_workdir(origin.workdir))
    except InputError as error:
        raise InputError(str(error).replace("--workdir:", "--init_from:", 1)) from error
    there = flatten_dict(source.model.variables, sep="/")
    shapes = jax.eval_shape(partial(initial_variables, model), random_key(0))
    here = flatten_dict(shapes, sep="/")
    common = [name for name in here if name in there]
    for part in origin.parts:
        if not any(_within(name, part) for name in common):
            modules = sorted({_path(name).partition("/")[0] for name in common})
            raise InputError(
                f"--init_parts: {origin.workdir} and the new model have no part {part!r} in "
                f"common: name one or more of {', '.join(modules)}, or paths within them"
            )

    def is_asked_for(name: str) -> bool:
        return not origin.parts or any(_within(name, part) for part in origin.parts)

    taken = [name for name in common if is_asked_for(name)]
    for name in taken:
        _check_fit(name, origin, there[name].shape, here[name].shape, source.model.module, model)
    ids = {word: number for number, word in enumerate(source.corpus.vocabulary.words)}
    return Transfer(
        workdir=origin.workdir,
        step=source.step,
        values={name: there[name] for name in taken},
        fresh=tuple(sorted(_path(name) for name in here if name not in taken)),
        left=tuple(sorted(_path(n) for n in there if n not in here and is_asked_for(n))),
        rows=np.array([ids.get(word, -1) for word in vocabulary.words]),
    )


def _path(name: str) -> str:
    """The path without its collection, `params` or `batch_stats`."""
    return name.partition("/")[2]


def _within(name: str, part: str) -> bool:
    return f"{_path(name)}/".startswith(f"{part}/")


def _check_fit(
    name: str,
    origin: Origin,
    there: tuple[int, ...],
    here: tuple[int, ...],
    old: TextAutoencoder,
    new: TextAutoencoder,
) -> None:
    """Raises InputError where an array has another shape, or another meaning, in the new model."""
    path = _path(name)
    pairs = [
        pair
        for axis, pair in enumerate(zip(there, here, strict=True))
        if axis != VOCABULARY_AXES.get(path)
    ]
    differing = [
        (key, _setting(old, key), _setting(new, key))
        for key in (*SIZES, *MEANINGS.get(path.partition("/")[0], ()))
        if _setting(old, key) != _setting(new, key)
    ]
    # A kernel's axis is a multiple of the size it comes from, the same one in both models.
    reasons = [
        f"{key} is {a!r} there and {b!r} here"
        for key, a, b in differing
        if key not in SIZES or any(m != n and m * b == n * a for m, n in pairs)
    ]
    if any(m != n for m, n in pairs):
        reasons.append(f"its shape is {list(there)} there and {list(here)} here")
    if reasons:
        raise InputError(
            f"--init_from: {path} of {origin.workdir} does not fit ({'; '.join(reasons)}): give "
            "the new model the same values, or name other parts with --init_parts"
        )


def _setting(model: TextAutoencoder, key: str) -> Any:
    """The value of a configuration's key that the model was built with, None where it has none."""
    section, _, name = key.partition(".")
    if section == "model":
        return getattr(model, name)
    return dict(getattr(model, f"{section}_choice").arguments).get(name)


def _in_short(paths: Sequence[str], others: Sequence[str]) -> list[str]:
    """Paths in their order, the shortest beginnings in place of them that begin no other path."""
    kept: dict[str, None] = {}
    for path in paths:
        steps = path.split("/")
        beginnings = ("/".join(steps[: count + 1]) for count in range(len(steps)))
        taken = (b for b in beginnings if not any(f"{o}/".startswith(f"{b}/") for o in others))
        kept[next(taken)] = None
    return list(kept)
