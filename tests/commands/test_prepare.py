from collections import Counter
from statistics import median

import numpy as np
from command_runs import train_arguments, write_text

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
    told = f"median {median(lengths):g} words, 95th percentile {np.percentile(lengths, 95):.0f}"
    assert f"training sentences: {told}, longest {max(lengths)}\n" in out
    assert "padding: " in out


def test_prepare_says_how_many_sentences_reach_the_limit(text_folder, capsys):
    limit = 4
    out, lengths = prepared(text_folder, capsys, **{"data.max_words": limit})
    assert max(lengths) > limit
    share = sum(length >= limit for length in lengths) / len(lengths)
    assert f"longest {limit}; {share:.1%} reach data.max_words or were cut" in out


def test_notes_and_empty_lines_are_said_each_time(text_folder, tmp_path, capsys):
    folder = tmp_path / "text"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text((text_folder / f"{split}.txt").read_text() + "\n _UNK")
    arguments = [a for a in train_arguments(folder, "unused")[1:] if "workdir" not in a]
    for _ in range(2):
        assert cli.main(["prepare", *arguments]) == 0
        said = capsys.readouterr().err
        assert "note: 3 words are special tokens of other programs, such as _UNK" in said
        assert "sentences of the valid split also occur in the training split" in said
        assert "wae-rnf: empty lines skipped in the train split: 1\n" in said


def test_training_tells_notes_once_and_empty_lines_always(tmp_path, capsys):
    folder = write_text(tmp_path)
    with (folder / "train.txt").open("a") as file:
        file.write("\n\nthe [UNK] cat\n")
    arguments = train_arguments(folder, tmp_path / "run", "lm", **{"train.num_epochs": 1})
    assert cli.main(arguments) == 0
    said = capsys.readouterr().err
    assert "note: 1 words are special tokens of other programs, such as [UNK]" in said
    assert "wae-rnf: empty lines skipped in the train split: 2\n" in said
    assert cli.main(arguments) == 0
    said = capsys.readouterr().err
    assert "note: " not in said
    assert "wae-rnf: empty lines skipped in the train split: 2\n" in said
    with (folder / "train.txt").open("a") as file:
        file.write("one more\n")
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert "the text or the tokenizer is not the one that the run in" in said
    assert "data_fingerprint" not in said


def test_empty_lines_of_standard_input_are_told(workdir, stdin, capsys):
    stdin("the cat sat\n\n \na cat ran\n")
    assert cli.main(["reconstruct", f"--workdir={workdir}"]) == 0
    assert "wae-rnf: --input: empty lines skipped: 2\n" in capsys.readouterr().err
