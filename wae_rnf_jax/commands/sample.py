"""`wae-rnf sample`: sentences from the prior."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command


def _define_flags(values: flags.FlagValues) -> None:
    options.define_decoding(values, strategy="sample")
    flags.DEFINE_integer("num", 10, "number of sentences", lower_bound=1, flag_values=values)


def _run(values: flags.FlagValues) -> None:
    decoding = options.decoding(values)
    run = options.trained_run(values)
    for sentence in run.sample(values["num"].value, **decoding):
        print(sentence)


COMMAND = Command(
    summary="Sample sentences from the prior.",
    examples=(
        "wae-rnf sample --workdir=runs/grammar/wae_rnf --num=10",
        "wae-rnf sample --workdir=runs/grammar/wae_rnf --temperature=0.8 --top_p=0.9 --seed=1",
    ),
    run=_run,
    takes_less="--max_length, --beam_width or --num",
    define_flags=_define_flags,
)
