"""`wae-rnf plot`: training curves and systems side by side, from runs' own metrics."""

from pathlib import Path

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError, warn


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_list("workdirs", [], "folders of runs", flag_values=values)
    flags.DEFINE_string(
        "output",
        "plots",
        "folder for the plots curves and systems, each as .png, .svg and .pdf",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.comparison import check_distinct
    from wae_rnf_jax.evaluation.curves_picture import save_training_curves
    from wae_rnf_jax.evaluation.systems_picture import save_systems

    names = values["workdirs"].value
    if not names:
        raise InputError("--workdirs is missing: name the folder of at least one run")
    workdirs = [options.local_workdir(name, "workdirs") for name in names]
    try:
        check_distinct(workdirs)
    except InputError as error:
        raise InputError(options.in_given_names(str(error), workdirs, names)) from error
    labels = _labels(workdirs)
    runs = dict(zip(labels, map(_metrics, workdirs), strict=True))
    output = options.path_of(options.required(values, "output", "name a folder"))
    with options.writing(output, "output"):
        output.mkdir(parents=True, exist_ok=True)
    systems = {
        label: _system(workdir, runs[label])
        for label, workdir in zip(labels, workdirs, strict=True)
    }
    corpora = _corpora(workdirs)
    if len(corpora) > 1:
        warn(f"the runs are on different corpora and cannot be compared: {', '.join(corpora)}")
    with options.writing(output, "output"):
        files = save_training_curves(runs, output / "curves")
        files += save_systems(systems, output / "systems", corpora=corpora)
    for path in files:
        print(f"written to {path}")


def _system(workdir: Path, lines: list[dict]):
    """The results on the test split where there are any, else the last validation."""
    from wae_rnf_jax.evaluation.comparison import outdated, saved_results
    from wae_rnf_jax.evaluation.systems_picture import System
    from wae_rnf_jax.runs.trained_model import selected_step
    from wae_rnf_jax.runs.workdir import read_config

    config = read_config(workdir)
    has_code = config["model"]["latent_dim"] > 0
    results = saved_results(workdir)
    if results and (
        note := outdated(str(workdir), results["settings"], selected_step(workdir, config))
    ):
        warn(note)
    if results is not None and results["split"] == "test":
        return System(results["metrics"], tested=True, has_code=has_code)
    last = [line for line in lines if line["split"] == "valid"][-1:]
    return System(last[0] if last else {}, has_code=has_code)


def _corpora(workdirs: list[Path]) -> list[str]:
    """The names of the runs' corpora, each once; one of the same name is told by its digest."""
    from wae_rnf_jax.evaluation.comparison import corpus_name
    from wae_rnf_jax.runs.trained_model import run_corpus
    from wae_rnf_jax.runs.workdir import read_config

    names = {}
    for workdir in workdirs:
        config = read_config(workdir)
        corpus = run_corpus(workdir, config)
        names[corpus.fingerprint] = corpus_name(corpus, config["data"])
    known = list(names.values())
    return [
        name if known.count(name) == 1 else f"{name} ({fingerprint[:8]})"
        for fingerprint, name in names.items()
    ]


def _labels(workdirs: list[Path]) -> list[str]:
    """Each run's system, with the folder's name where two runs share it and that is another."""
    from wae_rnf_jax.evaluation.comparison import distinct_names
    from wae_rnf_jax.runs.workdir import read_config

    systems = [read_config(workdir)["system"] for workdir in workdirs]
    return [
        system if systems.count(system) == 1 or name == system else f"{system} ({name})"
        for system, name in zip(systems, distinct_names(workdirs), strict=True)
    ]


def _metrics(workdir: Path) -> list[dict]:
    from wae_rnf_jax.evaluation.workdir_summary import metric_lines

    lines = metric_lines(workdir / "metrics.jsonl")
    if not lines:
        raise InputError(f"--workdirs: {workdir} holds no metrics yet: train for longer")
    return lines


COMMAND = Command(
    summary="Plot training curves, and KL, NLL and MI by system.",
    examples=("wae-rnf plot runs/grammar/lm runs/grammar/wae_rnf --output=runs/plots",),
    run=_run,
    define_flags=_define_flags,
    arguments="workdirs",
)
