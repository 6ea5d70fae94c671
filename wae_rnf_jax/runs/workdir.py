"""The workdir: what a run leaves on disk, which is all that using it needs.

workdir/config.json          the resolved configuration
workdir/corpus/              vocabulary, validation and test splits
workdir/checkpoints/latest/  the two newest states
workdir/checkpoints/best/    the state with the best validation bound, and the best before it
workdir/metrics.jsonl        one line a logging interval or validation
workdir/tensorboard/         the same for TensorBoard
workdir/trackers.json        what experiment trackers call the run, where some were asked for
workdir/results.json         what `evaluate` found
workdir/init_from.json       what was taken over from another run's model, where one was named
workdir/profile/             traces of steps, where some were asked for
workdir/lock                 held while a run trains; see `lock`
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from wae_rnf_jax.data.corpora import Corpus, save_evaluation_corpus
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.runs.exported import is_exported
from wae_rnf_jax.runs.versions import (
    ADDED,
    MOVED,
    config_leaves,
    current_config,
    identity,
    in_sections,
)
from wae_rnf_jax.storage.files import new_file, remove_unfinished

# Keys that a run may be resumed with other values of, because no number of it depends on them:
# where the text and its tokens lie (`data_fingerprint`, which is compared, says what they are), how
# many processes prepare them, how often something is written, and what maps the step over the
# devices. Not among them, though they might seem to be: `num_epochs`, over which the learning rate
# decays and up to whose end λ is followed for the best checkpoint; `patience`, which ends the run;
# `select`, which decides what is reported; `num_buckets` and `cross_entropy_block`, which change
# batches or the order of sums.
HARMLESS = {
    "data.cache_dir",
    "data.num_workers",
    "data.path",
    "data.tokenizer",
    "data.vocabulary",
    "train.backend",
    "train.checkpoint_every",
    "train.log_every",
}
# Validation draws from a key of its own and changes no parameter; it only decides which checkpoint
# is the best, when patience or a stage of the procedure ends and when the learning rate is lowered.
# Where it decides nothing, its interval is harmless too.
VALIDATION = "train.eval_every"
# The procedures that act after a validation, by which they move the end of the run too.
DECIDED_BY_VALIDATION = ("lagging", "pretrained")

WRITTEN_BY_TRAINING = ("config.json", "init_from.json", "metrics.jsonl")  # alone, and in one move


def open_workdir(
    workdir: Path,
    config: dict[str, Any],
    corpus: Corpus,
    *,
    is_read: Callable[[str], bool] = lambda key: True,
) -> dict[str, Any]:
    """Fills a new workdir, or checks that the run in it has this configuration.

    The caller has the sole use of the workdir.

    Args:
      workdir: an existing folder.
      config: the resolved configuration, with the corpus's `data_fingerprint`.
      corpus: whose validation and test splits are kept.
      is_read: whether the run reads a key. Those that it does not may differ, as other versions
        set others; the run keeps its first ones.

    Returns:
      The configuration that the workdir has now.

    Raises:
      InputError: the workdir holds a run of another configuration, or cannot be written.
    """
    for left in workdir.glob(".preparing-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    remove_unfinished(workdir, WRITTEN_BY_TRAINING)
    if is_exported(workdir):
        raise InputError(
            f"--workdir: {workdir} holds an exported model, without the state of its training: "
            f"name another workdir, and start from this model with --init_from={workdir}"
        )
    if not (workdir / "config.json").exists():
        save_evaluation_corpus(corpus, workdir / "corpus")
        write_json(workdir / "config.json", config)
        return config
    present = read_config(workdir)
    changed = [change for change in _differences(present, config) if is_read(change[0])]
    harmless = HARMLESS if _validation_decides(config) else HARMLESS | {VALIDATION}
    refused = [
        f"{key} is {old} there and {new} here"
        for key, old, new in changed
        if key not in harmless and key != "data_fingerprint"
    ]
    if not refused and any(key == "data_fingerprint" for key, *_ in changed):
        raise InputError(
            f"--workdir: the text or the tokenizer is not the one that the run in {workdir} began "
            "with: name another workdir, or restore the text and the tokenizer"
        )
    if refused:
        raise InputError(
            f"--workdir: {workdir} holds a run with another configuration ({'; '.join(refused)}): "
            "name another workdir, or train with the same values"
        )
    save_evaluation_corpus(corpus, workdir / "corpus")  # where it was deleted, it is made again
    if not changed:
        return present
    read = {key: value for key, value in config_leaves(config).items() if is_read(key)}
    unread = {key: v for key, v in config_leaves(present).items() if not is_read(key)}
    config = in_sections(read | unread)
    write_json(workdir / "config.json", config)
    return config


def _validation_decides(config: dict[str, Any]) -> bool:
    train = config["train"]
    return (
        train["patience"] > 0
        or train["select"] != "last"
        or train["learning_rate_decay"] == "plateau"
        or config["procedure"]["name"] in DECIDED_BY_VALIDATION
    )


def fingerprint(config: dict[str, Any]) -> str:
    """Returns a digest of the keys that a run's checkpoints depend on.

    Args:
      config: the resolved configuration, with the corpus's `data_fingerprint`.
    """
    others = {*HARMLESS, VALIDATION, "train.select", "system"}
    kept = sorted((key, value) for key, value in identity(config).items() if key not in others)
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _differences(present: dict[str, Any], wanted: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The keys whose values differ, each with both as JSON."""
    left, right = identity(present), identity(wanted)
    for key in sorted(left.keys() | right.keys()):
        old, new = (
            json.dumps(x[key] if key in x else ADDED[key]) if key in x | ADDED else "absent"
            for x in (left, right)
        )
        if old != new:
            yield MOVED.get(key, key), old, new


def read_config(workdir: Path) -> dict[str, Any]:
    """Returns the configuration a workdir was trained with, under this version's keys.

    Raises:
      InputError: there is none.
    """
    path = workdir / "config.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        nearby = _runs_nearby(workdir)
        instead = f"did you mean {' or '.join(map(str, nearby))}?" if nearby else ""
        raise InputError(
            f"--workdir: {workdir} holds no run (no config.json): "
            f"{instead or 'name a workdir of `wae-rnf train`'}"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"--workdir: {path} cannot be read: {error}") from error
    sections = ("data", "model", "train")
    if not isinstance(content, dict) or not {"system", *sections} <= content.keys():
        raise InputError(
            f"--workdir: {path} is not the configuration of a run, which has system, "
            f"{', '.join(sections)}: name another workdir"
        )
    return current_config(content)


def _runs_nearby(folder: Path) -> list[Path]:
    """Folders of runs a little above or below a folder: the one that holds it, or up to three."""
    above = [parent for parent in folder.parents[:3] if (parent / "config.json").is_file()]
    with suppress(OSError):
        below = sorted(path.parent for path in folder.glob("*/config.json"))
        return above[:1] or below[:3]
    return above[:1]


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one move: a reader finds the old file or the new one, never a part.

    Raises:
      InputError: the file cannot be written.
    """
    try:
        with new_file(path) as file:
            file.write(f"{json.dumps(content, indent=2)}\n".encode())
    except OSError as error:
        raise InputError(f"--workdir: {path} cannot be written ({error.strerror})") from error
