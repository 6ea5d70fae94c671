"""`wae-rnf evaluate`: every metric of a model on a split."""

import sys

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command
from wae_rnf_jax.errors import InputError, progress_bar, warn


def _define_flags(values: flags.FlagValues) -> None:
    options.define_workdir(values)
    options.define_likelihood(values)
    count = {"lower_bound": 0, "flag_values": values}
    flags.DEFINE_enum("split", "test", ["valid", "test"], "split to evaluate", flag_values=values)
    flags.DEFINE_integer(
        "num_reconstructions",
        None,
        "number of sentences to reconstruct for BLEU, from the beginning of the split; if not "
        "given, all; 0 for none",
        **count,
    )
    flags.DEFINE_integer(
        "num_generated", 1_000, "number of samples from the prior; 0 for none", **count
    )
    flags.DEFINE_integer(
        "num_probe",
        20_000,
        "number of training sentences from which a probe learns to predict labels, if the text has "
        "labels; 0 for none",
        **count,
    )
    flags.DEFINE_string(
        "lm_workdir",
        None,
        "workdir of a language model that scores the samples",
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    from wae_rnf_jax.evaluation.characters import character_metrics
    from wae_rnf_jax.evaluation.export import update_card
    from wae_rnf_jax.evaluation.likelihood import evaluate_split
    from wae_rnf_jax.evaluation.report import collapse_in_words, metric_table
    from wae_rnf_jax.evaluation.results_file import write_results
    from wae_rnf_jax.evaluation.splits import token_split
    from wae_rnf_jax.runs.exported import is_exported

    workdir = options.workdir_path(values)
    run = options.open_run(workdir).trained
    options.check_folder(workdir, "workdir")
    judge = _language_model(values, run)
    split_name = values["split"].value
    settings = options.likelihood_settings(values)
    split = token_split(run, split_name)
    with progress_bar(total=len(split), unit="sentence") as bar:
        metrics = evaluate_split(
            run.model,
            split,
            num_buckets=run.config["data"]["num_buckets"],
            progress=lambda done, total: bar.update(done - bar.n),
            **settings,
        )
    by_character = character_metrics(run.corpus, split_name, nll=metrics["nll_iw"])
    metrics.update(by_character.metrics)
    settings["text"] = by_character.text
    metrics.update(_text_metrics(values, run, split, judge))
    metrics.update(_probe_metrics(values, run))
    system = run.config["system"]
    settings.update(system=system, step=run.step)
    if "sample_lm_nll" in metrics:
        settings.update(lm_workdir=values["lm_workdir"].value, lm_step=judge.step)
    print(f"{system}, step {run.step}, split {split_name}\n")
    print(metric_table(metrics))
    if run.model.latent_dim and (words := collapse_in_words(metrics)):
        print(f"\n{words}")
    sys.stdout.flush()  # even if the file cannot be written
    path = workdir / "results.json"
    with options.writing(path, "workdir"):
        write_results(path, split=split_name, settings=settings, metrics=metrics)
        card = update_card(workdir) if is_exported(workdir) else None
    print(f"\nwritten to {options.published(values, path)}")
    if card:
        options.published(values, card)


def _language_model(values: flags.FlagValues, run):
    """The run that judges the samples, or None; checked before anything is computed."""
    if not values["lm_workdir"].value:
        return None
    workdir = values["lm_workdir"].value
    try:
        judge = options.open_run(options.local_workdir(workdir)).trained
    except InputError as error:
        raise InputError(str(error).replace("--workdir:", "--lm_workdir:", 1)) from error
    if judge.model.latent_dim:
        raise InputError(
            f"--lm_workdir: {workdir} holds a model with a latent code ("
            f"{judge.config['system']}), whose likelihood is not exact: name a language model"
        )
    if judge.corpus.vocabulary != run.corpus.vocabulary:
        raise InputError(
            f"--lm_workdir: {workdir} does not have the vocabulary of {values['workdir'].value}: "
            "name a language model trained on the same corpus"
        )
    return judge


def _text_metrics(values: flags.FlagValues, run, split, judge) -> dict[str, float | int]:
    """Metrics of reconstructions and of samples from the prior, as far as the flags ask for them.

    Sentences may grow as long as the split's longest; the samples are those that `wae-rnf sample`
    writes with the same seed.
    """
    from wae_rnf_jax.evaluation import text_metrics
    from wae_rnf_jax.evaluation.decoding import Decoding
    from wae_rnf_jax.evaluation.latent_space import prior_sentences

    max_length = int(split.lengths.max()) + 1
    metrics: dict[str, float | int] = {}
    wanted = values["num_reconstructions"].value
    if run.model.latent_dim and wanted != 0:
        metrics.update(
            text_metrics.reconstruction_metrics(
                run, split, num_sentences=wanted, max_length=max_length
            )
        )
    if values["num_generated"].value == 0:
        return metrics
    decoding = Decoding(strategy="sample", max_length=max_length, seed=values["seed"].value)
    samples = prior_sentences(run, values["num_generated"].value, decoding=decoding)
    metrics.update(text_metrics.diversity_metrics(samples))
    training = _training_split(run)
    if training is not None:
        new = text_metrics.novel(samples, run.corpus.vocabulary, training)
        metrics["novel"] = float(new.mean())
    if judge is not None:
        metrics.update(text_metrics.judged_metrics(judge, samples))
    return metrics


def _probe_metrics(values: flags.FlagValues, run) -> dict[str, float | int]:
    """How well labels can be told from codes, where there are labels, codes and what it needs."""
    from wae_rnf_jax.evaluation.probes import probe_metrics

    wanted = values["num_probe"].value
    if not (wanted and run.corpus.labels and run.model.latent_dim):
        return {}
    settings = {name: values[name].value for name in ("split", "seed")}
    try:
        return probe_metrics(run, num_train=wanted, **settings)
    except InputError as error:
        warn(f"the label probe is skipped: {error}")
        return {}


def _training_split(run):
    """The training sentences, where the cache still has them: a workdir keeps none."""
    from wae_rnf_jax.data.corpora import cached_corpus

    cache = run.config["data"]["cache_dir"]
    try:
        corpus = cached_corpus(cache, run.corpus.fingerprint)
    except InputError as error:  # a damaged one
        warn(f"novel is not computed: {error}")
        return None
    if corpus is None:
        warn(f"novel is not computed: {cache} no longer holds the training text")
        return None
    return corpus.train


COMMAND = Command(
    summary="Measure a model on a whole split: likelihood, latent code, generated text.",
    examples=(
        "wae-rnf evaluate --workdir=runs/grammar/wae_rnf --num_samples=100",
        "wae-rnf evaluate --workdir=runs/grammar/wae_rnf --num_samples=100 "
        "--lm_workdir=runs/grammar/lm",
        "wae-rnf evaluate --workdir=runs/grammar/wae_rnf --split=valid --num_samples=10 "
        "--num_reconstructions=0 --num_generated=0",
    ),
    run=_run,
    takes_less="--memory_limit_rows, --batch_size or --num_generated",
    define_flags=_define_flags,
)
