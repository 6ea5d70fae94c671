"""A trained model as a workdir holds it: its configuration, corpus and model."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from wae_rnf_jax.data.corpora import Corpus, cached_corpus, load_evaluation_corpus
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.models.autoencoder import TextAutoencoder, text_autoencoder
from wae_rnf_jax.models.bound import BoundModel
from wae_rnf_jax.models.refinement import Refinement
from wae_rnf_jax.runs.checkpoint import restored_model, saved_steps
from wae_rnf_jax.runs.exported import exported_step, is_exported, read_model
from wae_rnf_jax.runs.workdir import fingerprint, read_config


class TrainedModel(NamedTuple):
    """A trained model and what it needs to be used."""

    config: dict[str, Any]
    corpus: Corpus  # vocabulary, valid, test
    model: BoundModel
    step: int
    centers: jax.Array | None  # [C, Z] of the codebook, before the flow

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that the model knows."""
        return self.corpus.vocabulary


def load_trained_model(workdir: Path) -> TrainedModel:
    """Returns the model that the workdir's configuration selects, with its corpus."""
    config = read_config(workdir)
    corpus = run_corpus(workdir, config)
    module, run = module_of(config, corpus), fingerprint(config)
    if is_exported(workdir):
        restored = read_model(workdir, run=run)
    else:
        restored = restored_model(workdir / "checkpoints", config["train"]["select"], run=run)
    model = BoundModel(module, restored.variables, Refinement.of(config["procedure"]))
    return TrainedModel(config, corpus, model, restored.step, restored.centers)


def selected_step(workdir: Path, config: dict[str, Any]) -> int | None:
    """Returns the step of the model that evaluation takes, or None before the first checkpoint."""
    if is_exported(workdir):
        return exported_step(workdir)
    directory = workdir / "checkpoints"
    best = saved_steps(directory, "best") if config["train"]["select"] == "best" else []
    return max(best or saved_steps(directory, "latest"), default=None)


def run_corpus(workdir: Path, config: dict[str, Any]) -> Corpus:
    """Returns vocabulary, validation and test split of a workdir.

    Of an exported model, which has no splits, they are those of the cache, or None.
    """
    corpus = load_evaluation_corpus(workdir / "corpus")
    if corpus.test is not None:
        return corpus
    cached = cached_corpus(config["data"]["cache_dir"], corpus.fingerprint)
    return corpus if cached is None else replace(corpus, valid=cached.valid, test=cached.test)


def module_of(config: dict[str, Any], corpus: Corpus) -> TextAutoencoder:
    """Returns the module of a workdir's configuration.

    Raises:
      InputError: it is another version's.
    """
    try:
        return text_autoencoder(config, vocab_size=corpus.vocabulary.size)
    except (TypeError, KeyError) as error:
        raise InputError(
            f"--workdir: the model in config.json does not fit this version ({error}): use the "
            "version that trained it, or name another workdir"
        ) from error
