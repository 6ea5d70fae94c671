"""`wae-rnf prepare`: a corpus, tokenized into the cache."""

from absl import flags

from wae_rnf_jax.commands import options
from wae_rnf_jax.commands.command import Command


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "sample",
        0,
        "number of training sentences to show as the model will see them",
        lower_bound=0,
        flag_values=values,
    )


def _run(values: flags.FlagValues) -> None:
    import numpy as np

    from wae_rnf_jax.data.batches import bucket_bounds, epoch_plan, padding_share
    from wae_rnf_jax.data.tokenizers import tokenizer_name
    from wae_rnf_jax.data.vocabulary import UNK_ID
    from wae_rnf_jax.evaluation.report import label_lines
    from wae_rnf_jax.training.corpus import open_corpus

    config = options.checked_config(values)
    corpus = open_corpus(config.data.to_dict(), thorough=True)
    tokenizer = tokenizer_name(corpus.vocabulary.tokenizer)
    print(
        f"vocabulary: {corpus.vocabulary.size} types, special words included; "
        f"tokenizer: {tokenizer}"
    )
    for name in ("train", "valid", "test"):
        split = getattr(corpus, name)
        unknown = split.occurrences(UNK_ID) / split.num_words
        line = f"{name}: {len(split)} sentences, {split.num_words} words, {unknown:.1%} <unk>"
        if split.log_probs is not None:
            line += f", exact mean NLL {-float(split.log_probs.mean()):.3f} nats"
        print(line)
    for line in label_lines(corpus.label_counts):
        print(line)
    lengths = corpus.train.lengths
    line = (
        f"training sentences: median {np.median(lengths):g} words, 95th percentile "
        f"{np.percentile(lengths, 95):.0f}, longest {lengths.max()}"
    )
    if limit := config.data.max_words:
        line += f"; {np.mean(lengths == limit):.1%} reach data.max_words or were cut there"
    print(line)
    plan = epoch_plan(
        lengths,
        bounds=bucket_bounds(lengths, num_buckets=config.data.num_buckets),
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        epoch=0,
    )
    print(f"padding: {padding_share(lengths, plan):.1%} of the tokens in training batches")
    _print_sample(corpus, values["sample"].value)


def _print_sample(corpus, number: int) -> None:
    """Training sentences from all over the text, their words as the model has them."""
    import numpy as np

    train, words = corpus.train, corpus.vocabulary.words
    for row in np.linspace(0, len(train) - 1, min(number, len(train)), dtype=np.int64).tolist():
        label = "" if train.labels is None else f"[{corpus.labels[train.labels[row]]}] "
        print(label + " ".join(words[word] for word in train.sentence(row)))


COMMAND = Command(
    summary="Tokenize a corpus and report what it contains.",
    examples=(
        "wae-rnf prepare --config=configs/grammar/wae_rnf.py",
        "wae-rnf prepare --config=configs/grammar/wae_rnf.py --config.data.min_count=2",
        "wae-rnf prepare --config=configs/grammar/wae_rnf.py --config.data.tokenizer=bpe "
        "--config.data.vocab_size=400 --sample=5",
    ),
    run=_run,
    define_flags=_define_flags,
    takes_less="--config.data.num_workers",
    takes_config=True,
)
