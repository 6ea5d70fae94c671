"""The workdir: what a run leaves on disk, which is all that using it needs.

workdir/config.json          the resolved configuration
workdir/corpus/              vocabulary, validation and test splits
workdir/checkpoints/latest/  the two newest states
workdir/checkpoints/best/    the state with the best validation bound
workdir/metrics.jsonl        one line a logging interval or validation
workdir/tensorboard/         the same for TensorBoard
workdir/results.json         what `evaluate` found
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from wae_rnf_jax.data.corpora import Corpus, load_evaluation_corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.models.autoencoder import TextAutoencoder
from wae_rnf_jax.training.checkpoint import restored_variables


class Run(NamedTuple):
    """A trained model and what it needs to be used."""

    config: dict[str, Any]
    corpus: Corpus  # vocabulary, valid, test
    model: TextAutoencoder
    variables: dict[str, Any]
    step: int


def load_run(workdir: Path) -> Run:
    """Returns the model that the workdir's configuration selects, with its corpus."""
    config = read_config(workdir)
    corpus = load_evaluation_corpus(workdir / "corpus")
    model = TextAutoencoder(vocab_size=corpus.vocabulary.size, **config["model"])
    variables, step = restored_variables(workdir / "checkpoints", config["train"]["select"])
    return Run(config, corpus, model, variables, step)


def read_config(workdir: Path) -> dict[str, Any]:
    """Returns the configuration a workdir was trained with; InputError where there is none."""
    path = workdir / "config.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"--workdir: {workdir} holds no run (no config.json): name the workdir of a "
            "`wae-rnf train`"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"--workdir: {path} cannot be read: {error}") from error


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one move: a reader finds the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(temporary, path)
