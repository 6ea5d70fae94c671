from collections import Counter
from statistics import median

from command_runs import train_arguments

from wae_rnf_jax import cli


def prepared(text_folder, capsys, **changes):
    """What `prepare` prints, and the lengths of the training sentences."""
    arguments = train_arguments(text_folder, "unused", **changes)
    assert cli.main(["prepare", *(a for a in arguments[1:] if "workdir" not in a)]) == 0
    lines = (text_folder / "train.txt").read_text().splitlines()
    return capsys.readouterr().out, [len(line.split()) for line in lines]


def test_prepare_says_what_the_corpus_holds(text_folder, capsys):
    out, lengths = prepared(text_folder, capsys, **{"data.max_size": 7})
    assert "vocabulary: 7 types" in out
    words = (text_folder / "train.txt").read_text().split()
    kept = Counter(words).most_common(3)  # beside the four specials
    unknown = 1 - sum(count for _, count in kept) / len(words)
    assert f"train: 40 sentences, {len(words)} words, {unknown:.1%} <unk>\n" in out
    assert f"training sentences: median {median(lengths):g}, longest {max(lengths)} words\n" in out
    assert "padding: " in out


def test_prepare_says_how_many_sentences_reach_the_limit(text_folder, capsys):
    limit = 4
    out, lengths = prepared(text_folder, capsys, **{"data.max_words": limit})
    assert max(lengths) > limit
    share = sum(length >= limit for length in lengths) / len(lengths)
    assert f"longest {limit} words; {share:.1%} are as long as data.max_words, or were cut" in out
