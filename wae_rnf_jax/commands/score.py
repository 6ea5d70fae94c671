"""`wae-rnf score`: the likelihood of each sentence."""

import sys

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.commands.labelled_input import define_labelled_input, labelled_input
from wae_rnf_jax.commands.rows import define_format, print_rows


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    define_labelled_input(values)
    options.define_likelihood(values)
    define_format(values)
    flags.DEFINE_enum(
        "sort",
        "input",
        ["input", "nll", "nll_per_token"],
        "order of the output: as given, or by a score, with the most likely sentence first",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.report import draws_in_words
    from wae_rnf_jax.evaluation.scoring import score_sentences

    run = options.trained_run(values)
    given = labelled_input(values, run)
    settings = options.likelihood_settings(values)
    scores = score_sentences(
        run.trained,
        given.sentences,
        num_buckets=run.config["data"]["num_buckets"],
        **settings,
    )
    options.report_unknown(scores.unknown)
    rows = _rows(scores, given)
    if values["sort"].value != "input":
        rows.sort(key=lambda row: row[values["sort"].value])
    if values["format"].value == "text":
        print("     NLL  per token  tokens  sentence")
    print_rows(rows, values["format"].value, _as_text)
    how = "exact"
    if run.model.latent_dim:
        how = f"importance-weighted over {draws_in_words(settings)}"
    average = scores.nll.mean()
    print(
        f"{len(rows)} sentences, mean NLL {average:.2f} nats, PPL {scores.perplexity:.2f} ({how})",
        file=sys.stderr,
    )


def _rows(scores, given) -> list[dict]:
    metrics = (scores.nll, scores.nll_per_token, scores.num_tokens)
    labels = given.labels or [None] * len(given.sentences)
    names = ("nll", "nll_per_token", "num_tokens", "label", "sentence")
    columns = [*(figure.tolist() for figure in metrics), labels, given.sentences]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _as_text(row) -> str:
    label = "" if row["label"] is None else f"{row['label']}  "
    metrics = f"{row['nll']:8.2f}  {row['nll_per_token']:9.3f}  {row['num_tokens']:6d}"
    return f"{metrics}  {label}{row['sentence']}"


COMMAND = Command(
    summary="Measure how likely each sentence is: NLL in nats, including the end of the sentence.",
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
