"""`wae-rnf shift`: sentences moved from one label towards another."""

import math

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.commands.labelled_input import define_labelled_input, labelled_input
from wae_rnf_jax.commands.rows import define_format, print_rows
from wae_rnf_jax.errors import InputError


def _define_flags(values: flags.FlagValues) -> None:
    options.define_decoding(values)
    define_labelled_input(values)
    define_format(values)
    flags.DEFINE_string("from_label", None, "label to move away from", flag_values=values)
    flags.DEFINE_string("to_label", None, "label to move toward", flag_values=values)
    flags.DEFINE_list(
        "strengths",
        ["0", "1", "2"],
        "multiples of the difference to add; 0 is the sentence's own code",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "means_of",
        "valid",
        ["train", "valid", "test"],
        "split from which the mean code of each label is computed",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    start, end = (options.required(values, f"{n}_label", "name a label") for n in ("from", "to"))
    strengths = _strengths(values["strengths"].value)
    decoding = options.decoding(values)
    run = options.trained_run(values)
    difference = run.label_difference(start, end, split=values["means_of"].value)
    given = labelled_input(values, run)
    codes = run.encode(given.sentences)
    options.report_unknown(codes.unknown)
    shifted = [run.decode(codes.zk + s * difference, **decoding) for s in strengths]
    labels = given.labels or [None] * len(codes)
    rows = [
        {"label": label, "sentence": sentence, "strength": strength, "shifted": texts[place]}
        for place, (label, sentence) in enumerate(zip(labels, given.sentences, strict=True))
        for strength, texts in zip(strengths, shifted, strict=True)
    ]
    print_rows(rows, values["format"].value, lambda row: _as_text(row, first=strengths[0]))


def _strengths(values: list[str]) -> list[float]:
    try:
        strengths = [float(value) for value in values]
    except ValueError as error:
        raise InputError(f"--strengths: {error}; give numbers, as in 0,1,2") from error
    if not strengths or not all(map(math.isfinite, strengths)):
        raise InputError(f"--strengths is {','.join(values)}: give finite numbers, as in 0,1,2")
    return strengths


def _as_text(row: dict, *, first: float) -> str:
    label = "" if row["label"] is None else f"{row['label']}  "
    given = f"{label}{row['sentence']}\n" if row["strength"] == first else ""
    return f"{given}  {row['strength']:5g}  {row['shifted']}"


COMMAND = Command(
    summary="Move the codes of sentences from one label's mean toward another's, and decode them.",
    examples=(
        'echo "the food was bad" | wae-rnf shift --workdir=runs/reviews --from_label=bad '
        "--to_label=good --strengths=0,1,2,3",
    ),
    run=_run,
    define_flags=_define_flags,
)
