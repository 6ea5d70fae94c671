"""`wae-rnf reconstruct`: what sentences become on the way through their codes."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command


def _define_flags(values: flags.FlagValues) -> None:
    options.define_decoding(values)
    options.define_input(values)


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.latent_space import reconstruct_sentences

    decoding = options.decoding(values)
    run = options.trained_run(values)
    sentences = options.input_sentences(values)
    options.report_form(sentences, run)
    found = reconstruct_sentences(
        run,
        sentences,
        decoding=decoding,
    )
    options.report_unknown(found.unknown)
    for sentence, reconstruction in zip(sentences, found.sentences, strict=True):
        print(f"{sentence}\n  -> {reconstruction}")


COMMAND = Command(
    summary="Send sentences through the code.",
    examples=(
        'echo "the singers play the song" | wae-rnf reconstruct --workdir=runs/grammar/wae_rnf',
        'echo "the singers play the song" | wae-rnf reconstruct --workdir=runs/grammar/wae_rnf '
        "--strategy=beam --beam_width=10",
    ),
    run=_run,
    takes_less="--max_length or --beam_width, or give fewer sentences at once",
    define_flags=_define_flags,
)
