"""Metrics as tables of text, as Markdown and as tab-separated values.

Every table that shows `nll_paper` carries the note that it is no bound; every table says how many
draws and sentences its estimates rest on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Metrics = dict[str, float | int]  # what was measured, by its name
_SHOWN_LABELS = 10


class Column(NamedTuple):
    """A metric as tables show it.

    Attributes:
      name: its key among the metrics.
      title: its heading in a table of several models.
      format: how its value is written.
      meaning: what it is, for the table of one model.
    """

    name: str
    title: str
    format: str
    meaning: str


LIKELIHOOD_COLUMNS = (
    Column("nll_iw", "NLL (IW)", ".2f", "importance-weighted NLL, nats per sentence"),
    Column("nll_iw_se", "± SE", ".2f", "its standard error over sentences"),
    Column("ppl_iw", "PPL (IW)", ".2f", "perplexity per predicted token, from nll_iw"),
    Column("bits_per_char", "Bits/char", ".4f", "nll_iw in bits per character, line ends counted"),
    Column(
        "unk_share",
        "<unk>",
        ".2%",
        "share of words that are unknown, which leaves no bits_per_char",
    ),
    Column("neg_elbo", "−ELBO", ".2f", "rec + kl"),
    Column("neg_elbo_encoder", "−ELBO (enc.)", ".2f", "the same of posteriors before refinement"),
    Column("rec", "Rec", ".2f", "reconstruction NLL"),
    Column("kl", "KL", ".3f", "KL(q(zk|x) ‖ prior), Monte Carlo"),
    Column("kl_base", "KL(z0)", ".3f", "KL(q0(z0|x) ‖ N(0, I)), analytic, before the flow"),
    Column("mi", "MI", ".3f", "mutual information of sentence and code"),
    Column("marginal_kl", "KL(q(z))", ".3f", "kl − mi: aggregate posterior to prior"),
    Column("au", "AU", "d", "active latent dimensions"),
    Column("nll_paper", "NLL (paper)", ".2f", "the formula of the paper's code; not a bound"),
    Column("true_nll", "True NLL", ".3f", "exact entropy estimate: −log p of the source"),
    Column("true_nll_ratio", "NLL / true", ".3f", "nll_iw / true_nll"),
    Column("num_samples", "S", "d", "draws per sentence for nll_iw"),
    Column("proposal_scale", "Scale", ".2f", "width of the proposal / the posterior's"),
    Column("refinement_steps", "Steps", "d", "gradient steps that refine each posterior"),
    Column("num_sentences", "N", "d", "sentences"),
    Column("num_tokens", "Tokens", "d", "predicted tokens, one end per sentence counted"),
    Column("num_chars", "Chars", "d", "characters of text, one end per sentence counted"),
)
TEXT_COLUMNS = (
    Column("recon_bleu", "Rec. BLEU", ".2f", "BLEU of greedy reconstructions, 0 to 100"),
    Column("num_reconstructions", "of", "d", "sentences reconstructed"),
    Column("distinct_1", "Dist-1", ".4f", "samples from the prior: different words / words"),
    Column("distinct_2", "Dist-2", ".4f", "the same for pairs of words"),
    Column("distinct_3", "Dist-3", ".4f", "the same for triples of words"),
    Column("novel", "Novel", ".3f", "share of samples that are not training sentences"),
    Column("sample_lm_nll", "LM NLL", ".2f", "samples under the language model, nats per sample"),
    Column("sample_lm_ppl", "LM PPL", ".2f", "the same as perplexity per predicted token"),
    Column("num_generated", "Samples", "d", "samples from the prior"),
    Column("self_bleu", "Self-BLEU", ".2f", "mean BLEU of a sample against the others, 0 to 100"),
    Column("num_self_bleu", "of", "d", "samples that self_bleu compares, the first ones"),
)
PROBE_COLUMNS = (
    Column("probe_accuracy", "Probe acc.", ".4f", "accuracy of labels predicted from codes"),
    Column("probe_accuracy_se", "± SE", ".4f", "its standard error over sentences"),
    Column("probe_f1", "F1", ".4f", "the same, F1 averaged over labels"),
    Column("bow_accuracy", "Words acc.", ".4f", "accuracy of labels predicted from word counts"),
    Column("bow_f1", "F1", ".4f", "the same, F1 averaged over labels"),
    Column("majority_accuracy", "Majority", ".4f", "accuracy of the most frequent training label"),
    Column("majority_f1", "F1", ".4f", "the same, F1 averaged over labels"),
    Column("cluster_nmi", "NMI", ".4f", "k-means clusters of codes and labels, 0 to 1"),
    Column("num_labels", "Labels", "d", "labels"),
    Column("num_probe_train", "of", "d", "training sentences that labels are learned from"),
    Column("num_probe", "on", "d", "sentences whose labels are predicted"),
)
COLUMNS = LIKELIHOOD_COLUMNS + TEXT_COLUMNS + PROBE_COLUMNS
COLLAPSED_BELOW = 0.2  # nats of mutual information
_TELLING = 1.0  # log N below which mutual information tells nothing of the model

NLL_IW_NOTE = (
    "NLL (IW) is importance-weighted over S draws: an upper bound on −log p(x) in expectation, "
    "which approaches it as S grows; a language model's is exact."
)
NLL_PAPER_NOTE = (
    "nll_paper is the formula of the paper's code, shown only for comparison with its tables. It "
    "is not a bound on anything: without a flow it is the analytic bound less ½Σσ² (½·Z nats for a "
    "collapsed posterior)."
)


def metric_table(metrics: Metrics) -> str:
    """The metrics of one model, one a line, with what each of them is.

    Args:
      metrics: as `evaluate_split` returns them.

    Returns:
      Text without a final newline.
    """
    rows = [
        (column.name, _written(metrics, column), column.meaning)
        for column in COLUMNS
        if column.name in metrics
    ]
    return "\n".join([*aligned(rows, right=(1,)), "", *_notes([metrics])]).rstrip()


def draws_in_words(settings: Mapping[str, Any]) -> str:
    """How an importance-weighted NLL was estimated.

    Args:
      settings: or metrics; with `num_samples` and, unless it is 1, `proposal_scale`.

    >>> draws_in_words({"num_samples": 50, "proposal_scale": 1.2})
    'S = 50 draws of a proposal 1.2 times as wide as the posterior'
    """
    scale = settings.get("proposal_scale", 1)
    proposal = f" of a proposal {scale:g} times as wide as the posterior" * (scale != 1)
    return f"S = {settings['num_samples']} draws{proposal}"


def collapse_in_words(metrics: Metrics) -> str:
    """What it means if the code of an autoencoder says next to nothing; else "".

    Args:
      metrics: as `evaluate_split` returns them, of a model with a latent code.
    """
    nats, units = metrics["mi"], metrics["au"]
    ceiling = metrics.get("log_num_sentences", math.inf)  # of one sentence there is nothing to tell
    if nats >= COLLAPSED_BELOW or ceiling < _TELLING:
        return ""
    return (
        f"The code has collapsed: it carries {max(nats, 0.0):.2f} nats about a sentence, in "
        f"{max(units, 0)} active units, and the decoder ignores it and writes like a language "
        "model. Reconstructions, interpolations and geometry say nothing about the sentences."
    )


def comparison_table(
    results: Mapping[str, Metrics], deviations: Mapping[str, Metrics] | None = None
) -> str:
    """The metrics of several models, one model a line, in aligned columns.

    Likelihood, text and labels are tables of their own, the last two for the models that have such
    metrics.

    Args:
      results: metrics by the model's name; one that a model lacks is left out of its line.
      deviations: standard deviations of those that are means, by the model's name.

    Returns:
      Text without a final newline.
    """
    lines = []
    for header, rows in _grids(results, deviations or {}):
        lines += [*aligned([header, *rows], right=tuple(range(1, len(header)))), ""]
    return "\n".join([*lines, *_comparison_notes(results.values())])


def markdown_table(
    results: Mapping[str, Metrics], deviations: Mapping[str, Metrics] | None = None
) -> str:
    """The metrics of several models as a Markdown table with its notes below.

    Args:
      results: metrics by the model's name.
      deviations: see `comparison_table`.

    Returns:
      Text without a final newline.
    """
    lines = []
    for header, rows in _grids(results, deviations or {}):
        rule = ["---"] + ["---:"] * (len(header) - 1)
        lines += ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)] + [""]
    return "\n".join([*lines, *_comparison_notes(results.values())])


def tsv_table(
    results: Mapping[str, Metrics], deviations: Mapping[str, Metrics] | None = None
) -> str:
    """The metrics of several models as tab-separated values, in full precision.

    Args:
      results: metrics by the model's name; one that a model lacks is an empty cell.
      deviations: see `comparison_table`; of a metric `x` they are in a column `x_sd`.

    Returns:
      A line of the metrics' names and one a model, without a final newline.
    """
    deviations = deviations or {}
    names = [column.name for column in _columns(COLUMNS, results)]
    spread = [column.name for column in _columns(COLUMNS, deviations)]
    rows = [
        [
            model,
            *(str(metrics.get(name, "")) for name in names),
            *(str(deviations.get(model, {}).get(name, "")) for name in spread),
        ]
        for model, metrics in results.items()
    ]
    header = ["model", *names, *(f"{name}_sd" for name in spread)]
    return "\n".join("\t".join(row) for row in [header, *rows])


def _written(metrics: Metrics, column: Column, deviations: Metrics | None = None) -> str:
    if column.name not in metrics:
        return ""
    if not deviations or column.name not in deviations:
        return format(metrics[column.name], column.format)
    form = ".1f" if column.format == "d" else column.format  # a mean of counts
    return f"{metrics[column.name]:{form}} ± {deviations[column.name]:{form}}"


def _columns(columns: Iterable[Column], results: Mapping[str, Metrics]) -> list[Column]:
    """The columns that at least one model has."""
    return [
        column for column in columns if any(column.name in metrics for metrics in results.values())
    ]


def _grids(
    results: Mapping[str, Metrics], deviations: Mapping[str, Metrics]
) -> list[tuple[list[str], list[list[str]]]]:
    """Headers and lines of the tables of models: likelihood, text and labels, as there are any."""
    grids = []
    for group in (LIKELIHOOD_COLUMNS, TEXT_COLUMNS, PROBE_COLUMNS):
        columns = _columns(group, results)
        rows = [
            [name, *(_written(metrics, column, deviations.get(name)) for column in columns)]
            for name, metrics in results.items()
            if any(column.name in metrics for column in columns)
        ]
        if rows:
            grids.append((["model", *(column.title for column in columns)], rows))
    return grids


def label_lines(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Labels and their balance in words, a line for each split; none where there are no labels.

    >>> label_lines({"train": {"good": 3, "bad": 1}})
    ['labels of train: good 75.0%, bad 25.0%']
    """
    lines = []
    for split, numbers in counts.items():
        present = sorted((-number, label) for label, number in numbers.items() if number)
        total = -sum(number for number, _ in present)
        shown = [f"{label} {-number / total:.1%}" for number, label in present[:_SHOWN_LABELS]]
        if more := len(present) - len(shown):
            shown.append(f"and {more:,} more")
        if shown:
            lines.append(f"labels of {split}: {', '.join(shown)}")
    return lines


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> list[str]:
    """Rows of cells as lines whose columns stand under each other.

    Args:
      rows: as many cells each.
      right: which columns are aligned at the right.

    Returns:
      One line a row.
    """
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _comparison_notes(results: Iterable[Metrics]) -> list[str]:
    results = list(results)
    exact = [NLL_IW_NOTE] if any("nll_iw" in metrics for metrics in results) else []
    return [*exact, *_notes(results)]


def _notes(results: Iterable[Metrics]) -> list[str]:
    """What the estimates rest on, and what nll_paper is not."""
    results = list(results)
    notes = []
    of_posterior = [metrics for metrics in results if "kl" in metrics]
    if any("proposal_scale" not in metrics for metrics in of_posterior):
        notes.append("rec, kl and −ELBO average over the same S draws that nll_iw weights.")
    scaled = [metrics for metrics in of_posterior if "proposal_scale" in metrics]
    if scaled:
        counts = sorted({metrics["num_kl_samples"] for metrics in scaled})
        notes.append(
            "Where a scale is given, nll_iw weights draws of a proposal, and rec, kl and −ELBO "
            f"average over {' or '.join(map(str, counts))} others, of the posterior."
        )
    ceilings = sorted(
        {
            (metrics["num_sentences"], metrics["log_num_sentences"])
            for metrics in results
            if "mi" in metrics and "log_num_sentences" in metrics
        }
    )
    for count, ceiling in ceilings:
        notes.append(
            f"mi over N = {count} sentences cannot exceed log N = {ceiling:.2f} and is biased low "
            "near it."
        )
    if any("distinct_1" in metrics for metrics in results):
        notes.append("distinct_n and self_bleu depend on the number of samples.")
    if any("nll_paper" in metrics for metrics in results):
        notes.append(NLL_PAPER_NOTE)
    return notes
