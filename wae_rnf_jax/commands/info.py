"""`wae-rnf info`: what a workdir holds."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command

_NOT_METRICS = ("step", "split")


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.workdir_summary import workdir_summary

    summary = workdir_summary(options.workdir_path(values))
    topics = {
        "system": [summary.system],
        "corpus": _corpus_lines(summary),
        "trained": [_progress_line(summary)],
        "checkpoints": _checkpoint_lines(summary),
        "parameters": [f"{count:>12,}  {name}" for name, count in _with_total(summary.parameters)],
        "metrics": [
            f"{split}, step {line['step']}: {_metrics(line)}"
            for split, line in summary.metrics.items()
        ]
        or ["none yet"],
        "results": _result_lines(summary, values["workdir"].value),
    }
    for topic, lines in topics.items():
        for number, line in enumerate(lines):
            print(f"{'' if number else topic:12} {line}")


def _corpus_lines(summary) -> list[str]:
    from wae_rnf_jax.evaluation.report import label_lines

    counts = ", ".join(
        f"{name} {count:,}" if count is not None else f"{name} unknown"
        for name, count in summary.num_sentences.items()
    )
    return [
        summary.corpus,
        f"sentences: {counts}",
        *label_lines(summary.label_counts),
        f"vocabulary: {summary.vocab_size:,} types, tokenizer {summary.tokenizer}",
    ]


def _progress_line(summary) -> str:
    from wae_rnf_jax.runs.workdir import DECIDED_BY_VALIDATION

    if summary.steps_per_epoch is None:
        return f"step {summary.step:,} (of {summary.num_epochs} epochs of unknown length)"
    total = summary.num_epochs * summary.steps_per_epoch
    epoch = summary.step / summary.steps_per_epoch
    if summary.procedure in DECIDED_BY_VALIDATION:  # it takes steps beside those
        return f"step {summary.step:,}; {total:,} make {summary.num_epochs} epochs"
    return f"step {summary.step:,} of {total:,}, epoch {epoch:.3g} of {summary.num_epochs}"


def _checkpoint_lines(summary) -> list[str]:
    lines = [
        f"{name}: {', '.join(map(str, steps)) or 'none'}"
        for name, steps in summary.checkpoints.items()
    ]
    if summary.selected_step is not None:
        lines.append(f"evaluation uses: {summary.selected_step}")
    return lines


def _result_lines(summary, workdir: str) -> list[str]:
    from wae_rnf_jax.evaluation.report import draws_in_words

    if summary.results is None:
        return [f"none yet: wae-rnf evaluate --workdir={workdir}"]
    settings, metrics = summary.results["settings"], summary.results["metrics"]
    names = ("nll_iw", "ppl_iw", "kl", "mi", "au", "nll_paper")
    shown = {name: metrics[name] for name in names if name in metrics}
    step = settings["step"]
    lines = [f"{summary.results['split']} split, step {step}, {draws_in_words(metrics)}:"]
    lines.append(_metrics(shown) + " (nll_paper is not a bound)" * ("nll_paper" in shown))
    now = summary.selected_step
    if step != now:
        lines.append(f"from another checkpoint than the one that evaluation now uses, step {now}")
    return lines


def _with_total(parameters: dict[str, int]) -> list[tuple[str, int]]:
    return [*parameters.items(), ("total", sum(parameters.values()))]


def _metrics(line: dict) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in line.items() if k not in _NOT_METRICS)


COMMAND = Command(
    summary="Show what a workdir holds: corpus, progress, checkpoints, parameters, metrics.",
    examples=("wae-rnf info --workdir=runs/grammar/wae_rnf",),
    run=_run,
    define_flags=options.define_workdir,
)
