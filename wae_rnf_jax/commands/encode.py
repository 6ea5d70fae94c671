"""`wae-rnf encode`: sentences to a file of codes."""

from pathlib import Path

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.commands.labelled_input import define_labelled_input, labelled_input
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    define_labelled_input(values, split=True)
    flags.DEFINE_string("output", None, "the .npz file to write", flag_values=values)
    flags.DEFINE_integer("batch_size", 64, "sentences per batch", lower_bound=1, flag_values=values)


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.code_files import write_codes
    from wae_rnf_jax.storage.files import new_file

    output = _output_path(values)
    run = options.trained_run(values)
    given = labelled_input(values, run)
    codes = run.encode(given.sentences, batch_size=values["batch_size"].value)
    options.report_unknown(codes.unknown)
    with options.writing(output, "output"), new_file(output) as file:
        write_codes(file, codes, given.sentences, given.labels)
    number, dim = codes.zk.shape
    labelled = " with their labels" if given.labels is not None else ""
    print(f"{number} codes of {dim} dimensions{labelled} written to {output}")


def _output_path(values: flags.FlagValues) -> Path:
    """Where to write, checked before anything is computed."""
    output = options.path_of(options.required(values, "output", "name a file, such as codes.npz"))
    if output.suffix != ".npz":
        raise InputError(f"--output is {output}: its name must end in .npz")
    if output.is_dir():
        raise InputError(f"--output: {output} is a folder: name a file in it")
    options.check_folder(output.parent, "output")
    return output


COMMAND = Command(
    summary="Write the codes, posteriors, words and labels of sentences to an .npz file.",
    examples=(
        'echo "the singers play the song" | wae-rnf encode --workdir=runs/grammar/wae_rnf '
        "--output=codes.npz",
        "wae-rnf encode --workdir=runs/grammar/wae_rnf --split=test --output=test_codes.npz",
    ),
    run=_run,
    takes_less="--batch_size",
    define_flags=_define_flags,
)
