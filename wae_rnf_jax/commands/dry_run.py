"""What `wae-rnf train --dry_run` prints: a run's shapes, memory and arithmetic."""

from collections.abc import Sequence
from functools import partial

from wae_rnf_jax.errors import warn


def print_dry_run(config, origin=None) -> None:
    """Checks a configuration as training would, and prints what the run will take.

    The corpus is prepared if it is not yet; nothing else is written, and nothing is trained.

    Args:
      config: the whole configuration, checked.
      origin: as for `wae_rnf_jax.training.loop.train`.
    """
    import jax

    from wae_rnf_jax.data.batches import num_batches_per_epoch
    from wae_rnf_jax.data.tokenizers import tokenizer_name
    from wae_rnf_jax.evaluation.comparison import corpus_name
    from wae_rnf_jax.evaluation.report import label_lines
    from wae_rnf_jax.training import estimate
    from wae_rnf_jax.training.annealing import annealing
    from wae_rnf_jax.training.corpus import open_corpus
    from wae_rnf_jax.training.parallel import axis_name, check_batch_size
    from wae_rnf_jax.training.state import build_recipe, initial_state, run_warnings
    from wae_rnf_jax.training.transfer import planned_transfer

    check_batch_size(config.train.batch_size, config.train.accumulate, config.train.mmd_group)
    corpus = open_corpus(config.data.to_dict())
    epoch = num_batches_per_epoch(len(corpus.train), config.train.batch_size)
    recipe = build_recipe(
        config, corpus.vocabulary.size, steps_per_epoch=epoch, axis_name=axis_name()
    )
    transfer = origin and planned_transfer(origin, recipe.model, corpus.vocabulary)
    counts = ", ".join(f"{n} {len(getattr(corpus, n)):,}" for n in ("train", "valid", "test"))
    tokenizer = tokenizer_name(corpus.vocabulary.tokenizer)
    devices, kind = jax.local_device_count(), jax.local_devices()[0].device_kind
    state = jax.eval_shape(partial(initial_state, config, recipe), estimate.abstract_key())
    procedure = recipe.procedure
    begun = state.replace(procedure=procedure.init(state.params))
    asked_for = config.train.num_epochs * epoch
    total = procedure.num_steps(begun, asked_for)
    eval_every = config.train.eval_every or epoch
    course = annealing(recipe, config.kl_weight.to_dict(), asked_for, eval_every=eval_every)
    for topic, line in (
        ("system", config.system),
        ("corpus", corpus_name(corpus, config.data.to_dict())),
        ("", f"sentences: {counts}"),
        *(("", line) for line in label_lines(corpus.label_counts)),
        ("", f"vocabulary: {corpus.vocabulary.size:,} types, tokenizer {tokenizer}"),
        ("steps", _steps(total, config, epoch)),
        *([("λ", course.line())] if config.model.latent_dim else []),
        ("devices", f"{devices} × {kind}, {config.train.batch_size // devices} rows each"),
    ):
        print(f"{topic:12} {line}")
    for line in transfer.lines() if transfer else ():
        print(line)
    if config.model.latent_dim:
        of_run = run_warnings(config, recipe, asked_for=asked_for, num_steps=total)
        for warning in filter(None, (course.warning(), *of_run)):
            warn(warning)
    buckets = estimate.planned_buckets(
        corpus.train.lengths,
        num_buckets=config.data.num_buckets,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
    )
    _print_buckets(buckets, config.train.batch_size)
    _print_parameters(state)
    largest = {"batch_size": config.train.batch_size, "length": buckets[-1].length}
    _print_memory(state, estimate.step_memory(recipe, state, **largest))
    flops = estimate.step_flops(recipe, state, **largest)
    rows, words = config.train.batch_size, largest["length"]
    print(f"\na step on [{rows}, {words}] takes {flops:.3g} FLOPs in its matrix products")
    print("nothing was trained, and no workdir was made")


def _steps(total: int, config, epoch: int) -> str:
    line = f"{total:,}: {config.train.num_epochs} epochs of {epoch:,}"
    more = total - config.train.num_epochs * epoch
    if not more:
        return line
    if config.procedure.name == "lagging":
        return f"{line}, and between them at most {more:,} steps of the encoder alone"
    return f"{line}, after at most {more:,} steps of earlier stages"


def _print_buckets(buckets, rows: int) -> None:
    cells = [
        (f"[{rows}, {b.length}]", f"{b.num_batches:,}", f"{b.num_sentences:,}", f"{b.padding:.1%}")
        for b in buckets
    ]
    _print_table([("tokens", "batches per epoch", "sentences", "padding"), *cells])


def _print_parameters(state) -> None:
    from wae_rnf_jax.training.estimate import tree_size

    modules = {name: tree_size(module) for name, module in sorted(state.params.items())}
    modules["total"] = tree_size(state.params)
    cells = [(name, f"{count:,}", f"{size:,}") for name, (count, size) in modules.items()]
    _print_table([("module", "parameters", "bytes"), *cells])


def _print_memory(state, of_step: dict[str, int] | None) -> None:
    """What the state holds, and what the compiled step needs with it."""
    from wae_rnf_jax.training.estimate import tree_size

    parts = {
        "parameters": state.params,
        "batch statistics": state.batch_stats,
        "average of parameters": state.average,
        "optimizer state": state.opt_state,
        "codebook": state.codebook,
    }
    sizes = {name: tree_size(part)[1] for name, part in parts.items() if part is not None}
    sizes["state, total"] = tree_size(state)[1]
    for name, size in (of_step or {}).items():
        sizes[f"step: {name}"] = size
    if of_step:
        sizes["step, total"] = sum(of_step.values())
    cells = [(name, f"{size:,}") for name, size in sizes.items()]
    _print_table([("memory per device", "bytes"), *cells])
    if not of_step:
        print("this device does not report the memory that a compiled step needs")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    from wae_rnf_jax.evaluation.report import aligned

    print()
    for line in aligned(rows, right=range(1, len(rows[0]))):
        print(line)
