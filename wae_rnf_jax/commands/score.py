"""`wae-rnf score`: the likelihood of each sentence."""

import sys

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    options.define_input(values)
    options.define_likelihood(values)
    flags.DEFINE_enum(
        "format", "text", ["text", "tsv"], "aligned, or tab-separated", flag_values=values
    )
    flags.DEFINE_enum(
        "sort",
        "input",
        ["input", "nll", "nll_per_token"],
        "order: the input's, or by a figure, the most likely sentence first",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.scoring import score_sentences

    run = options.trained_run(values)
    sentences = options.input_sentences(values)
    options.report_form(sentences, run)
    settings = options.likelihood_settings(values)
    scores = score_sentences(
        run,
        sentences,
        num_buckets=run.config["data"]["num_buckets"],
        **settings,
    )
    options.report_unknown(scores.unknown)
    rows = list(zip(scores.nll, scores.nll_per_token, scores.num_tokens, sentences, strict=True))
    column = {"nll": 0, "nll_per_token": 1}
    if values["sort"].value in column:
        rows.sort(key=lambda row: row[column[values["sort"].value]])
    if values["format"].value == "tsv":
        print("nll\tnll_per_token\tnum_tokens\tsentence")
        for nll, per_token, tokens, sentence in rows:
            print(f"{nll:.6f}\t{per_token:.6f}\t{tokens}\t{sentence}")
    else:
        print("     NLL  per token  tokens  sentence")
        for nll, per_token, tokens, sentence in rows:
            print(f"{nll:8.2f}  {per_token:9.3f}  {tokens:6d}  {sentence}")
    draws = settings["num_samples"]
    how = f"importance-weighted over S = {draws} draws" if run.model.latent_dim else "exact"
    average = scores.nll.mean()
    print(
        f"{len(rows)} sentences, mean NLL {average:.2f} nats, PPL {scores.perplexity:.2f} ({how})",
        file=sys.stderr,
    )


COMMAND = Command(
    summary="Say how likely each sentence is: NLL in nats, end of sentence counted.",
    examples=(
        'echo "the singers play the song" | wae-rnf score --workdir=runs/grammar/wae_rnf '
        "--num_samples=100",
        'printf "the song plays\\nplay song the the\\n" | wae-rnf score '
        "--workdir=runs/grammar/lm --sort=nll --format=tsv",
    ),
    run=_run,
    takes_less="--memory_limit_rows or --batch_size",
    define_flags=_define_flags,
)
