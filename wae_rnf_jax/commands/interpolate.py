"""`wae-rnf interpolate`: sentences along a path between two codes."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command


def _define_flags(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.latent_space import PATHS

    options.define_decoding(values)
    flags.DEFINE_string("start", None, "the first sentence", flag_values=values)
    flags.DEFINE_string("end", None, "the last sentence", flag_values=values)
    flags.DEFINE_enum("path", "straight", PATHS, "between the codes", flag_values=values)
    flags.DEFINE_integer(
        "num_points", 7, "sentences, the ends included", lower_bound=2, flag_values=values
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.latent_space import interpolate_sentences

    start, end = (options.given_sentence(values, name) for name in ("start", "end"))
    decoding = options.decoding(values)
    run = options.trained_run(values)
    path = interpolate_sentences(
        run,
        start,
        end,
        num_points=values["num_points"].value,
        path=values["path"].value,
        decoding=decoding,
    )
    options.report_unknown(path.unknown)
    for sentence in path.sentences:
        print(sentence)


COMMAND = Command(
    summary="Walk from sentence to sentence.",
    examples=(
        'wae-rnf interpolate --workdir=runs/grammar/wae_rnf --start="the singers play the song" '
        '--end="these sailors do not launch the boat"',
        "wae-rnf interpolate --workdir=runs/grammar/wae_rnf --path=geodesic "
        '--start="the singers play the song" --end="these sailors do not launch the boat"',
    ),
    run=_run,
    takes_less="--max_length, --beam_width or --num_points",
    define_flags=_define_flags,
)
