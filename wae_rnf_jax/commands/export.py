"""`wae-rnf export`: a trained model as a folder to hand on."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    flags.DEFINE_string("output", None, "folder to create", flag_values=values)
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "of the stored parameters; bfloat16 rounds them, so evaluate the new folder",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.export import export_model

    name = options.required(values, "output", "name a folder to create")
    if "://" in name:
        raise InputError(f"--output is {name}: name a local folder, and copy it there afterwards")
    output = options.path_of(name)
    if output.exists():
        raise InputError(f"--output: {output} already exists: name a new folder")
    options.check_folder(output.absolute().parent, "output")
    workdir = options.workdir_path(values)
    run = options.open_run(workdir)
    export_model(run.trained, workdir, output, dtype=values.dtype)
    print(f"{run.config['system']}, step {run.step:,}, written to {output}:")
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:>12,}  {path.relative_to(output)}")


COMMAND = Command(
    summary="Export a model to a folder: safetensors, configuration, vocabulary, model card.",
    examples=("wae-rnf export --workdir=runs/grammar/wae_rnf --output=wae_rnf_grammar",),
    run=_run,
    define_flags=_define_flags,
)
