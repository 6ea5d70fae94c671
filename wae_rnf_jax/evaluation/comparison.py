"""Results of several runs, and whether they stand on one footing."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wae_rnf_jax.data.corpora import Corpus, load_evaluation_corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.published import known_corpus
from wae_rnf_jax.evaluation.report import read_results
from wae_rnf_jax.training.workdir import read_config


class EvaluatedRun(NamedTuple):
    """What `wae-rnf evaluate` found of one run.

    Attributes:
        name: the workdir's last part, or all of it where two runs share that.
        workdir: the folder.
        system: the system's name.
        corpus: the corpus' name.
        fingerprint: the corpus' content.
        split: the split's name.
        settings: what the evaluation was told, and the step it is of.
        figures: as `evaluate_split` returns them.
    """

    name: str
    workdir: str
    system: str
    corpus: str
    fingerprint: str
    split: str
    settings: dict[str, Any]
    figures: dict[str, float | int]


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
    resolved = [workdir.resolve() for workdir in workdirs]
    for number, workdir in enumerate(resolved):
        if workdir in resolved[:number]:
            raise InputError(f"{workdirs[number]} is named twice: name each workdir once")
    last_parts = [workdir.name for workdir in resolved]
    runs = []
    for workdir, place in zip(workdirs, resolved, strict=True):
        config = read_config(workdir)
        results = saved_results(workdir)
        if results is None:
            raise InputError(
                f"{workdir} was not evaluated (no results.json): run `wae-rnf evaluate "
                f"--workdir={workdir}` first"
            )
        corpus = load_evaluation_corpus(workdir / "corpus")
        runs.append(
            EvaluatedRun(
                name=place.name if last_parts.count(place.name) == 1 else str(workdir),
                workdir=str(workdir),
                system=config["system"],
                corpus=corpus_name(corpus, config["data"]),
                fingerprint=corpus.fingerprint,
                **{name: results[name] for name in ("split", "settings", "figures")},
            )
        )
    return runs


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
        complete = {"split", "settings"} <= results.keys() and "nll_iw" in results["figures"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}): evaluate the run again") from error
    if not complete:
        raise InputError(f"{path} lacks split, settings or figures: evaluate the run again")
    return results


def corpus_name(corpus: Corpus, settings: dict[str, Any]) -> str:
    """What a run's corpus is called.

    Args:
        corpus: the corpus.
        settings: the run's `data` configuration.

    Returns:
        A name for people.
    """
    source = settings["source"]
    named = {"grammar": "built-in grammar", "tfds": settings["dataset"], "text": settings["path"]}
    return known_corpus(corpus) or named[source]


def footing_notes(runs: Iterable[EvaluatedRun]) -> list[str]:
    """What keeps runs from being compared figure by figure.

    Args:
        runs: the runs.

    Returns:
        A sentence for each reason; none where all are of one split of one corpus, by as many draws.
    """
    runs = list(runs)
    notes = []
    for what, group in (
        ("corpora", lambda run: (run.fingerprint, run.corpus)),
        ("splits", lambda run: (run.split, run.split)),
    ):
        groups: dict[tuple[str, str], list[str]] = {}
        for run in runs:
            groups.setdefault(group(run), []).append(run.name)
        if len(groups) > 1:
            parts = "; ".join(f"{key[1]}: {', '.join(names)}" for key, names in groups.items())
            notes.append(f"These are figures of different {what}, not to be compared ({parts}).")
    draws: dict[int, list[str]] = {}
    for run in runs:
        if run.figures.get("kl"):  # without a code every draw is the same
            draws.setdefault(run.figures["num_samples"], []).append(run.name)
    if len(draws) > 1:
        parts = "; ".join(f"{count}: {', '.join(names)}" for count, names in sorted(draws.items()))
        notes.append(f"NLL (IW) is of different numbers of draws, and falls with them ({parts}).")
    return notes
