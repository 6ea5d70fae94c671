"""`wae-rnf interpolate`: sentences along a path between two codes."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.commands.rows import define_format, print_rows


def _define_flags(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.latent_space import PATHS

    options.define_decoding(values)
    flags.DEFINE_string("start", None, "the first sentence", flag_values=values)
    flags.DEFINE_string("end", None, "the last sentence", flag_values=values)
    flags.DEFINE_enum("path", "straight", PATHS, "path between the codes", flag_values=values)
    flags.DEFINE_integer(
        "num_points",
        7,
        "number of sentences, including both ends",
        lower_bound=2,
        flag_values=values,
    )
    define_format(values)


def _run(values: flags.FlagValues) -> None:
    start, end = (options.given_sentence(values, name) for name in ("start", "end"))
    decoding = options.decoding(values)
    run = options.trained_run(values)
    path = run.interpolate(
        start,
        end,
        num_points=values["num_points"].value,
        path=values["path"].value,
        **decoding,
    )
    options.report_unknown(path.unknown)
    found = [
        {"place": float(share), "sentence": sentence}
        for share, sentence in zip(path.shares, path.sentences, strict=True)
    ]
    rows = [{"place": "start", "sentence": start}, *found, {"place": "end", "sentence": end}]
    print_rows(rows, values["format"].value, _as_text)


def _as_text(row) -> str:
    place = row["place"]
    return f"{place if isinstance(place, str) else format(place, '.2f'):6}{row['sentence']}"


COMMAND = Command(
    summary="Decode the points of a path between the codes of two sentences.",
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
