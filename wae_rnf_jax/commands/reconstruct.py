"""`wae-rnf reconstruct`: what sentences become on the way through their codes."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.commands.labelled_input import define_labelled_input, labelled_input
from wae_rnf_jax.commands.rows import define_format, print_rows


def _define_flags(values: flags.FlagValues) -> None:
    options.define_decoding(values)
    define_labelled_input(values)
    define_format(values)


def _run(values: flags.FlagValues) -> None:
    decoding = options.decoding(values)
    run = options.trained_run(values)
    given = labelled_input(values, run)
    codes = run.encode(given.sentences)
    options.report_unknown(codes.unknown)
    labels = given.labels or [None] * len(codes)
    rows = [
        {"label": label, "sentence": sentence, "reconstruction": text}
        for label, sentence, text in zip(
            labels, given.sentences, run.decode(codes, **decoding), strict=True
        )
    ]
    print_rows(rows, values["format"].value, _as_text)


def _as_text(row) -> str:
    label = "" if row["label"] is None else f"{row['label']}  "
    return f"{label}{row['sentence']}\n  -> {row['reconstruction']}"


COMMAND = Command(
    summary="Encode sentences and decode them again.",
    examples=(
        'echo "the singers play the song" | wae-rnf reconstruct --workdir=runs/grammar/wae_rnf',
        'echo "the singers play the song" | wae-rnf reconstruct --workdir=runs/grammar/wae_rnf '
        "--strategy=beam --beam_width=10",
        'echo "the singers play the song" | wae-rnf reconstruct --workdir=runs/grammar/wae_rnf '
        "--format=tsv",
    ),
    run=_run,
    takes_less="--max_length or --beam_width, or give fewer sentences at once",
    define_flags=_define_flags,
)
