"""What a workdir holds, read without running the model."""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from wae_rnf_jax.data.batches import num_batches_per_epoch
from wae_rnf_jax.data.corpora import Corpus, cached_corpus
from wae_rnf_jax.data.tokenizers import tokenizer_name
from wae_rnf_jax.evaluation.comparison import corpus_name, saved_results
from wae_rnf_jax.functional._keys import random_key
from wae_rnf_jax.models.autoencoder import TextAutoencoder, initial_variables
from wae_rnf_jax.runs.checkpoint import saved_steps
from wae_rnf_jax.runs.exported import exported_step, is_exported
from wae_rnf_jax.runs.trained_model import module_of, run_corpus, selected_step
from wae_rnf_jax.runs.workdir import read_config


class WorkdirSummary(NamedTuple):
    """A run, as its workdir shows it.

    Attributes:
      system: the system's name.
      corpus: the corpus' name.
      vocab_size: V.
      tokenizer: what its tokenizer is called.
      label_counts: of each split, as far as it is known.
      num_sentences: of each split; None for a training split of unknown size.
      step: the newest saved step; 0 before the first.
      procedure: the name of its way of training.
      num_epochs: that the run is to take.
      steps_per_epoch: None where the training split's size is unknown.
      checkpoints: the saved steps, "latest" and "best"; or that of an exported model, "exported".
      selected_step: the step that evaluation takes, or None.
      parameters: how many each module has.
      metrics: the last line of metrics of each split.
      results: as `read_results`; None for a run that was not evaluated.
    """

    system: str
    corpus: str
    vocab_size: int
    tokenizer: str
    label_counts: Mapping[str, Mapping[str, int]]
    num_sentences: dict[str, int | None]
    step: int
    procedure: str
    num_epochs: int
    steps_per_epoch: int | None
    checkpoints: dict[str, list[int]]
    selected_step: int | None
    parameters: dict[str, int]
    metrics: dict[str, dict[str, Any]]
    results: dict[str, Any] | None


def workdir_summary(workdir: Path) -> WorkdirSummary:
    """Reads a workdir.

    Args:
      workdir: the folder of a run, finished or not.

    Returns:
      What it holds.

    Raises:
      InputError: the folder holds no run, or a damaged one.
    """
    config = read_config(workdir)
    corpus = run_corpus(workdir, config)
    model = module_of(config, corpus)
    num_train = _num_train(corpus, config["data"]["cache_dir"])
    batch_size = config["train"]["batch_size"]
    checkpoints = _checkpoints(workdir)
    sizes = {name: getattr(corpus, name) for name in ("valid", "test")}
    num_sentences = {name: None if split is None else len(split) for name, split in sizes.items()}
    return WorkdirSummary(
        system=config["system"],
        corpus=corpus_name(corpus, config["data"]),
        vocab_size=corpus.vocabulary.size,
        tokenizer=tokenizer_name(corpus.vocabulary.tokenizer),
        label_counts=corpus.label_counts,
        num_sentences={"train": num_train, **num_sentences},
        step=max(next(iter(checkpoints.values())), default=0),
        procedure=config["procedure"]["name"],
        num_epochs=config["train"]["num_epochs"],
        steps_per_epoch=None if num_train is None else num_batches_per_epoch(num_train, batch_size),
        checkpoints=checkpoints,
        selected_step=selected_step(workdir, config),
        parameters=parameter_counts(model),
        metrics={line["split"]: line for line in metric_lines(workdir / "metrics.jsonl")},
        results=saved_results(workdir),
    )


def _checkpoints(workdir: Path) -> dict[str, list[int]]:
    """The saved steps by kind, the one that training goes on from first."""
    if is_exported(workdir):
        return {"exported": [exported_step(workdir)]}
    return {kind: saved_steps(workdir / "checkpoints", kind) for kind in ("latest", "best")}


def parameter_counts(model: TextAutoencoder) -> dict[str, int]:
    """How many parameters each module of a model has.

    Args:
      model: the model.

    Returns:
      Counts by the module's name.
    """
    init = functools.partial(initial_variables, model)
    shapes = jax.eval_shape(init, random_key(0))["params"]
    return {
        name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(module))
        for name, module in sorted(shapes.items())
    }


def metric_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of metrics.

    Args:
      path: the file; it may be missing, or end in a line cut short.

    Returns:
      Its whole lines, in order.
    """
    lines: list[dict[str, Any]] = []
    if not path.exists():
        return lines
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
            lines.append({"split": line["split"], "step": line["step"], **line})
        except (ValueError, KeyError, TypeError):
            break  # cut short by a kill; what follows, if anything, is no better
    return lines


def _num_train(corpus: Corpus, cache_dir: str) -> int | None:
    """Sentences of the training split: as the workdir says, or the cache."""
    if corpus.num_train is not None:
        return corpus.num_train
    cached = cached_corpus(cache_dir, corpus.fingerprint)
    return None if cached is None else cached.num_train
