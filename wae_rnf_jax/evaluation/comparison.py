"""Results of several runs, and whether they stand on one footing."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.data.tokenizers import tokenizer_name
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.published import known_corpus
from wae_rnf_jax.evaluation.results_file import read_results
from wae_rnf_jax.runs.trained_model import run_corpus, selected_step
from wae_rnf_jax.runs.workdir import fingerprint, read_config


class EvaluatedRun(NamedTuple):
    """What `wae-rnf evaluate` found of one run.

    Attributes:
      name: the workdir's last part, or all of it where two runs share that.
      workdir: the folder.
      system: the system's name.
      corpus: the corpus' name.
      fingerprint: the corpus' content.
      tokenizer: what its tokenizer is called.
      split: the split's name.
      settings: what the evaluation was told, and the step it is of.
      metrics: as `evaluate_split` returns them.
      seed: of the training.
      identity: a digest of all other settings that numbers depend on.
      selected_step: of the model that evaluation would take now, which may be a later one.
    """

    name: str
    workdir: str
    system: str
    corpus: str
    fingerprint: str
    tokenizer: str
    split: str
    settings: dict[str, Any]
    metrics: dict[str, float | int]
    seed: int
    identity: str
    selected_step: int | None = None


def evaluated_runs(workdirs: Sequence[Path]) -> list[EvaluatedRun]:
    """Reads the results of runs.

    Args:
      workdirs: their folders.

    Returns:
      One entry a folder, in their order.

    Raises:
      InputError: a folder holds no run, or one that was not evaluated, or damaged results; or
        it is named twice.
    """
    check_distinct(workdirs)
    runs = []
    for workdir, name in zip(workdirs, distinct_names(workdirs), strict=True):
        config = read_config(workdir)
        results = saved_results(workdir)
        if results is None:
            raise InputError(
                f"{workdir} has not been evaluated (no results.json): run `wae-rnf evaluate "
                f"--workdir={workdir}` first"
            )
        corpus = run_corpus(workdir, config)
        runs.append(
            EvaluatedRun(
                name=name,
                workdir=str(workdir),
                system=config["system"],
                corpus=corpus_name(corpus, config["data"]),
                fingerprint=corpus.fingerprint,
                tokenizer=tokenizer_name(corpus.vocabulary.tokenizer),
                seed=config["train"]["seed"],
                identity=_identity_but_seed(config),
                selected_step=selected_step(workdir, config),
                **{name: results[name] for name in ("split", "settings", "metrics")},
            )
        )
    return runs


def _identity_but_seed(config: dict[str, Any]) -> str:
    train = config["train"]
    identity = fingerprint({**config, "train": {**train, "seed": None}})
    return f"{identity}, {train['select']} of every {train['eval_every']}"


def outdated(name: str, settings: dict[str, Any], selected_step: int | None) -> str | None:
    """Says so where results are not those of a run's present model.

    Args:
      name: of the run.
      settings: of its results.
      selected_step: of the model that evaluation would take now.

    Returns:
      The sentence, or None where they are.
    """
    step = settings.get("step")
    if None in (step, selected_step) or step == selected_step:
        return None
    return f"{name} was evaluated at step {step}, and its model is now that of step {selected_step}"


def check_distinct(workdirs: Sequence[Path]) -> None:
    """Raises InputError for a folder that is named twice, in whatever words."""
    resolved = [workdir.resolve() for workdir in workdirs]
    for number, workdir in enumerate(resolved):
        if workdir in resolved[:number]:
            raise InputError(f"{workdirs[number]} is named twice: name each workdir once")


def distinct_names(workdirs: Sequence[Path]) -> list[str]:
    """Each folder's last part, or all of it where two share that.

    Args:
      workdirs: the folders.

    Returns:
      A name for each, in their order.
    """
    last_parts = [workdir.resolve().name for workdir in workdirs]
    return [
        part if last_parts.count(part) == 1 else str(workdir)
        for workdir, part in zip(workdirs, last_parts, strict=True)
    ]


def saved_results(workdir: Path) -> dict[str, Any] | None:
    """The contents of a workdir's results.json, or None where it was not evaluated.

    Args:
      workdir: the folder of the run.

    Returns:
      As `read_results`.

    Raises:
      InputError: the file is damaged.
    """
    path = workdir / "results.json"
    try:
        results = read_results(path)
        complete = {"split", "settings"} <= results.keys() and "nll_iw" in results["metrics"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}): evaluate the run again") from error
    if not complete:
        raise InputError(f"{path} lacks split, settings or metrics: evaluate the run again")
    return results


def corpus_name(corpus: Corpus, settings: dict[str, Any]) -> str:
    """What a run's corpus is called.

    Args:
      corpus: the corpus.
      settings: the run's `data` configuration.

    Returns:
      A name for people.
    """
    named = {"grammar": "built-in grammar", "tfds": settings["dataset"]}
    return known_corpus(corpus) or named.get(settings["source"], settings["path"])


def footing_notes(runs: Iterable[EvaluatedRun]) -> list[str]:
    """What keeps runs from being compared figure by figure.

    Args:
      runs: the runs.

    Returns:
      A sentence for each reason; none where all are of one split of one corpus, by as many draws,
      and of the runs' present models.
    """
    runs = list(runs)
    coded = [run for run in runs if run.metrics.get("kl")]  # without a code all draws are the same
    coded.sort(key=lambda run: run.metrics["num_samples"])
    apart = "These metrics are from different {what} and cannot be compared ({groups})."
    draws = "NLL (IW) uses different numbers of {what}, and more of them lower it ({groups})."
    scale = "NLL (IW) uses different {what}, and another lowers it for some models ({groups})."
    earlier = (outdated(run.name, run.settings, run.selected_step) for run in runs)
    notes = [f"{note}." for note in earlier if note] + _tokenization_notes(runs)
    corpora = [] if _is_one_text(runs) else runs
    for note, what, group, among in (
        (apart, "corpora", lambda run: (run.fingerprint, run.corpus), corpora),
        (apart, "splits", lambda run: (run.split, run.split), runs),
        (draws, "draws", lambda run: (run.metrics["num_samples"],) * 2, coded),
        (scale, "proposals", lambda run: (run.metrics.get("proposal_scale", 1.0),) * 2, coded),
    ):
        groups: dict[tuple[Any, Any], list[str]] = {}
        for run in among:
            groups.setdefault(group(run), []).append(run.name)
        if len(groups) > 1:
            parts = "; ".join(f"{key[1]}: {', '.join(names)}" for key, names in groups.items())
            notes.append(note.format(what=what, groups=parts))
    return notes


def _is_one_text(runs: Sequence[EvaluatedRun]) -> bool:
    """Whether all scored the same characters, whatever their tokens."""
    texts = {run.settings.get("text") or None for run in runs}  # earlier versions wrote none
    return len(texts) == 1 and None not in texts


def _tokenization_notes(runs: Sequence[EvaluatedRun]) -> list[str]:
    """What of runs with different tokens can be compared."""
    if len({run.fingerprint for run in runs}) < 2 or len({run.tokenizer for run in runs}) < 2:
        return []
    kinds = "; ".join(f"{run.name}: {run.tokenizer}" for run in runs)
    if _is_one_text(runs):
        return [
            f"The runs read one text with different tokenizers ({kinds}): compare bits per "
            "character or NLL; perplexities are per token and cannot be compared."
        ]
    without = [run.name for run in runs if "bits_per_char" not in run.metrics]
    reason = "here they are of different characters"
    if without:
        reason = (
            f"they are unknown for {', '.join(without)}, whose tokens do not give all of the text"
        )
    return [
        f"The tokenizers differ ({kinds}): perplexities cannot be compared between them; bits per "
        f"character could be, but {reason}."
    ]
