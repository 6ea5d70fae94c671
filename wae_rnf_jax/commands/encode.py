"""`wae-rnf encode`: sentences to a file of codes."""

from pathlib import Path

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    options.define_input(values)
    flags.DEFINE_string("output", None, "file to write, .npz", flag_values=values)
    flags.DEFINE_integer("batch_size", 64, "sentences at once", lower_bound=1, flag_values=values)


def _run(values: flags.FlagValues) -> None:
    import numpy as np

    from wae_rnf_jax.evaluation.latent_space import encode_sentences
    from wae_rnf_jax.storage.files import new_file

    output = _output_path(values)
    run = options.trained_run(values)
    sentences = options.input_sentences(values)
    options.report_form(sentences, run)
    encoded = encode_sentences(
        run,
        sentences,
        batch_size=values["batch_size"].value,
    )
    options.report_unknown(encoded.unknown)
    posterior = {name: np.asarray(x) for name, x in vars(encoded.posterior).items()}
    arrays = {"codes": np.asarray(encoded.codes), **posterior}
    with options.writing(output, "output"), new_file(output) as file:
        np.savez(file, **arrays, sentences=_utf8(sentences))
    number, dim = arrays["codes"].shape
    print(f"{number} codes of {dim} dimensions written to {output}")


def _utf8(sentences: list[str]):
    """Sentences, which hold no line feed, as bytes, one a line.

    NumPy's own arrays of strings have all the width of the longest, or need pickle to be read.
    """
    import numpy as np

    return np.frombuffer("\n".join(sentences).encode(), np.uint8)


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
    summary="Write sentences' codes, posteriors and words to a file of arrays.",
    examples=(
        'echo "the singers play the song" | wae-rnf encode --workdir=runs/grammar/wae_rnf '
        "--output=codes.npz",
    ),
    run=_run,
    takes_less="--batch_size",
    define_flags=_define_flags,
)
