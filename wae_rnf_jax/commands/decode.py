"""`wae-rnf decode`: codes to sentences."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    options.define_decoding(values)
    flags.DEFINE_string(
        "input",
        None,
        "file of codes: .npz with an array named codes [N, Z], as encode writes it, or .npy",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.code_files import read_codes

    name = options.required(values, "input", "name a file of codes, such as codes.npz")
    decoding = options.decoding(values)
    try:
        codes = read_codes(options.path_of(name))
    except InputError as error:
        raise InputError(f"--input: {error}") from error
    run = options.trained_run(values)
    try:
        sentences = run.decode(codes, **decoding)
    except InputError as error:
        raise InputError(f"--input: {name}: {error}") from error
    for sentence in sentences:
        print(sentence)


COMMAND = Command(
    summary="Decode codes to sentences, one per line.",
    examples=("wae-rnf decode --workdir=runs/grammar/wae_rnf --input=codes.npz",),
    run=_run,
    define_flags=_define_flags,
)
