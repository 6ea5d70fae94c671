"""A model without the state of its training: a folder to hand on.

    config.json          the configuration of the run
    corpus/              what the vocabulary is made of; no sentence of any split
    model.safetensors    parameters, batch statistics and the codebook's centers, by their paths
    README.md            a model card
    results.json         what `evaluate` found of it, where it was evaluated and is not rounded
    metrics.jsonl        the curves of its training

Every command takes it as a workdir, and `train` only to start from (`--init_from`).
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wae_rnf_jax.errors import InputError, first_line
from wae_rnf_jax.extras import extra_module
from wae_rnf_jax.functional._arrays import widened
from wae_rnf_jax.runs.checkpoint import RestoredModel
from wae_rnf_jax.runs.versions import current_state, named_arrays, nested
from wae_rnf_jax.storage.files import new_file

MODEL = "model.safetensors"
FORMAT = 1
_ENTRY = "wae_rnf_jax"  # of the file's metadata, JSON


def is_exported(workdir: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (workdir / MODEL).exists()


def write_model(
    directory: Path, restored: RestoredModel, *, run: str, dtype: str = "float32"
) -> None:
    """Writes `model.safetensors`.

    Args:
      directory: an existing folder.
      restored: the model.
      run: fingerprint of the run's configuration.
      dtype: what the parameters are rounded to, "float32" or "bfloat16".
    """
    numpy = _safetensors()
    tree: dict[str, Any] = dict(restored.variables)
    tree["params"] = jax.tree.map(lambda x: jnp.asarray(x, dtype), tree["params"])
    if restored.centers is not None:
        tree["codebook"] = {"centers": restored.centers}
    arrays = {name: np.asarray(value) for name, value in named_arrays(tree).items()}
    about = {"format": FORMAT, "step": restored.step, "run": run}
    with new_file(directory / MODEL) as file:  # of several entries, the order would be random
        file.write(numpy.save(arrays, metadata={_ENTRY: json.dumps(about)}))


def read_model(directory: Path, *, run: str) -> RestoredModel:
    """Reads what `write_model` wrote.

    Args:
      directory: its folder.
      run: fingerprint of the configuration that it must be of.

    Returns:
      The model, on the first device.

    Raises:
      InputError: the file is damaged, or of another configuration or a later format.
    """
    path = directory / MODEL
    try:
        with _safetensors_open(path) as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except InputError:
        raise
    except Exception as error:  # the library's own kinds
        raise InputError(f"--workdir: {path} cannot be read ({first_line(error)})") from error
    about = _about(path)
    if about["run"] != run:
        raise InputError(
            f"--workdir: {path} does not have the configuration of the config.json next to it"
        )
    state = current_state({name: widened(array) for name, array in arrays.items()})
    variables = {name: nested(state, name) for name in ("params", "batch_stats")}
    centers = state.get("codebook/centers")
    variables, centers = jax.device_put((variables, centers), jax.local_devices()[0])
    return RestoredModel(variables, about["step"], centers)


def exported_step(directory: Path) -> int:
    """The step that an exported model was saved at.

    Raises:
      InputError: the file cannot be read.
    """
    return _about(directory / MODEL)["step"]


def _about(path: Path) -> dict[str, Any]:
    """What the file says of itself."""
    try:
        with _safetensors_open(path) as file:
            about = json.loads(file.metadata()[_ENTRY])
        known = about["format"] == FORMAT
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"--workdir: {path} cannot be read ({first_line(error)})") from error
    if not known:
        raise InputError(
            f"--workdir: {path} has format {about['format']}, but this version reads {FORMAT}: use "
            "the version that wrote it"
        )
    return about


def _safetensors():
    return extra_module("safetensors.numpy", package="safetensors", extra="export")


def _safetensors_open(path: Path):
    module = extra_module("safetensors", package="safetensors", extra="export")
    return module.safe_open(path, framework="numpy")
