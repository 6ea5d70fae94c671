"""`wae-rnf compare`: the results of several runs in one table."""

import sys

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_list("workdirs", [], "folders of evaluated runs", flag_values=values)
    flags.DEFINE_boolean(
        "published",
        True,
        "show published values too, if any are known for the runs' test split",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "pool",
        True,
        "merge runs that differ only in their seed into one line: mean ± standard deviation",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "format",
        "text",
        ["text", "markdown", "tsv", "json"],
        "format of the table",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation import report
    from wae_rnf_jax.evaluation.comparison import evaluated_runs, footing_notes
    from wae_rnf_jax.evaluation.published import published_results
    from wae_rnf_jax.evaluation.results_file import json_text
    from wae_rnf_jax.evaluation.seeds import pooled_rows, single_rows

    names = values["workdirs"].value
    workdirs = [options.local_workdir(name, "workdirs") for name in names]
    if not workdirs:
        raise InputError("no workdir to compare: name one or more, as in runs/grammar/*")
    try:
        runs = evaluated_runs(workdirs)
    except InputError as error:  # of a remote workdir, by its own name
        raise InputError(options.in_given_names(str(error), workdirs, names)) from error
    runs = [run._replace(workdir=name) for run, name in zip(runs, names, strict=True)]
    published = []
    if values["published"].value:
        on_test = {run.corpus for run in runs if run.split == "test"}
        published = [result for name in sorted(on_test) for result in published_results(name)]
        if not published and values["published"].present:
            print("no published values are known for these runs' test split", file=sys.stderr)
    rows = pooled_rows(runs) if values["pool"].value else single_rows(runs)
    if values["format"].value == "json":
        pooled = [row for row in rows if len(row.runs) > 1]
        content = {
            "runs": [run._asdict() for run in runs],
            "seeds": [
                {**row._asdict(), "runs": [run.workdir for run in row.runs]} for row in pooled
            ],
            "published": [result._asdict() for result in published],
        }
        print(json_text(content))
        return
    deviations = {row.name: row.deviation for row in rows if row.deviation}
    metrics = {row.name: row.mean for row in rows}
    metrics.update({result.label: result.metrics for result in published})
    if values["format"].value == "tsv":
        print(report.tsv_table(metrics, deviations))
        return
    table = {"text": report.comparison_table, "markdown": report.markdown_table}
    print(table[values["format"].value](metrics, deviations))
    if deviations:
        print("± is the standard deviation over runs that differ only in their seed.")
    for note in footing_notes(runs):
        print(note)
    for result in published:
        print(f"{result.label}: {result.note}")


COMMAND = Command(
    summary="Show the results of several evaluated runs in one table, next to published values.",
    examples=(
        "wae-rnf compare runs/grammar/lm runs/grammar/wae_rnf",
        "wae-rnf compare --workdirs=runs/grammar/lm,runs/grammar/wae_rnf --format=markdown",
        "wae-rnf compare runs/grammar/lm runs/grammar/wae_rnf --nopool",
    ),
    run=_run,
    define_flags=_define_flags,
    arguments="workdirs",
)
