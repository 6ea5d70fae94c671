"""`wae-rnf probe`: what codes say of labels."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import standard_error


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    flags.DEFINE_enum(
        "split", "test", ["valid", "test"], "split whose labels are predicted", flag_values=values
    )
    flags.DEFINE_integer(
        "num_train",
        0,
        "number of training sentences to learn from, drawn at random; 0 for all",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "format", "text", ["text", "json"], "format of the metrics", flag_values=values
    )
    options.define_seed(values, "seed of the draw and of the clustering")


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.probes import probe_metrics
    from wae_rnf_jax.evaluation.report import metric_table
    from wae_rnf_jax.evaluation.results_file import json_text

    run = options.trained_run(values)
    settings = {name: values[name].value for name in ("split", "num_train", "seed")}
    metrics = probe_metrics(run.trained, progress=_say, **settings)
    if values["format"].value == "json":
        print(json_text({"system": run.config["system"], "step": run.step, **settings, **metrics}))
        return
    print(f"{run.config['system']}, step {run.step}, split {settings['split']}\n")
    print(metric_table(metrics))


def _say(stage: str) -> None:
    print(stage, file=standard_error)


COMMAND = Command(
    summary="Measure how well labels can be predicted from codes, compared with a bag of words.",
    examples=("wae-rnf probe --workdir=runs/reviews",),
    run=_run,
    define_flags=_define_flags,
)
