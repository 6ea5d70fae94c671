from collections import Counter
from statistics import median

from command_runs import train_arguments

from wae_rnf_jax import cli


def test_prepare_says_what_the_corpus_holds(text_folder, capsys):
    arguments = train_arguments(text_folder, "unused", **{"data.max_size": 7})
    assert cli.main(["prepare", *(a for a in arguments[1:] if "workdir" not in a)]) == 0
    out = capsys.readouterr().out
    assert "vocabulary: 7 types" in out
    words = (text_folder / "train.txt").read_text().split()
    kept = Counter(words).most_common(3)  # beside the four specials
    unknown = 1 - sum(count for _, count in kept) / len(words)
    assert f"train: 40 sentences, {len(words)} words, {unknown:.1%} <unk>\n" in out
    lengths = [len(line.split()) for line in (text_folder / "train.txt").read_text().splitlines()]
    assert f"training sentences: median {median(lengths):g}, longest {max(lengths)} words\n" in out
    assert "padding: " in out


def test_prepare_says_how_many_sentences_reach_the_limit(text_folder, capsys):
    lengths = [len(line.split()) for line in (text_folder / "train.txt").read_text().splitlines()]
    limit = max(lengths) - 1
    share = sum(length >= limit for length in lengths) / len(lengths)
    arguments = train_arguments(text_folder, "unused", **{"data.max_words": limit})
    assert cli.main(["prepare", *(a for a in arguments[1:] if "workdir" not in a)]) == 0
    out = capsys.readouterr().out
    assert f"longest {limit} words; {share:.1%} are as long as data.max_words, or were cut" in out
