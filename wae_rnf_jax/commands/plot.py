"""`wae-rnf plot`: training curves and systems side by side, from runs' own metrics."""

from pathlib import Path

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_list("workdirs", [], "folders of runs", flag_values=values)
    flags.DEFINE_string(
        "output",
        "plots",
        "folder for curves.png, curves.svg, systems.png and systems.svg",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.comparison import check_distinct
    from wae_rnf_jax.evaluation.pictures import save_systems, save_training_curves

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
    last = {
        label: [line for line in lines if line["split"] == "valid"][-1:]
        for label, lines in runs.items()
    }
    bars = {name: line[0] if line else {} for name, line in last.items()}
    with options.writing(output, "output"):
        files = save_training_curves(runs, output / "curves")
        files += save_systems(bars, output / "systems")
    for path in files:
        print(f"written to {path}")


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
    summary="Draw training curves, and KL, NLL and MI by system.",
    examples=("wae-rnf plot runs/grammar/lm runs/grammar/wae_rnf --output=runs/plots",),
    run=_run,
    define_flags=_define_flags,
    arguments="workdirs",
)
