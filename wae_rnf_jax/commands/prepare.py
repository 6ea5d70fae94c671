"""`wae-rnf prepare`: a corpus, tokenised into the cache."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command


def _run(values: flags.FlagValues) -> None:
    import numpy as np

    from wae_rnf_jax.data.batches import bucket_bounds, epoch_plan, padding_share
    from wae_rnf_jax.data.vocabulary import UNK_ID
    from wae_rnf_jax.training.loop import open_corpus

    config = options.checked_config(values)
    corpus = open_corpus(config, thorough=True)
    print(f"vocabulary: {corpus.vocabulary.size} types, specials included")
    for name in ("train", "valid", "test"):
        split = getattr(corpus, name)
        unknown = split.occurrences(UNK_ID) / split.num_words
        line = f"{name}: {len(split)} sentences, {split.num_words} words, {unknown:.1%} <unk>"
        if split.log_probs is not None:
            line += f", exact mean NLL {-float(split.log_probs.mean()):.3f} nats"
        print(line)
    lengths = corpus.train.lengths
    line = f"training sentences: median {np.median(lengths):g}, longest {lengths.max()} words"
    if limit := config.data.max_words:
        line += (
            f"; {np.mean(lengths == limit):.1%} are as long as data.max_words, or were cut there"
        )
    print(line)
    plan = epoch_plan(
        lengths,
        bounds=bucket_bounds(lengths, num_buckets=config.data.num_buckets),
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        epoch=0,
    )
    print(f"padding: {padding_share(lengths, plan):.1%} of the training batches' tokens")


COMMAND = Command(
    summary="Tokenise a corpus and say what it holds.",
    examples=(
        "wae-rnf prepare --config=configs/grammar/wae_rnf.py",
        "wae-rnf prepare --config=configs/grammar/wae_rnf.py --config.data.min_count=2",
    ),
    run=_run,
    takes_less="--config.data.num_workers",
    takes_config=True,
)
