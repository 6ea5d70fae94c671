"""Corpora from text and grammar: what is read, refused, cached and kept for evaluation."""

import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from wae_rnf_jax.data import corpora, preparation
from wae_rnf_jax.data.corpora import (
    cached_corpus,
    load_corpus,
    load_evaluation_corpus,
    save_evaluation_corpus,
)
from wae_rnf_jax.data.grammar import grammar_log_prob
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS, Vocabulary
from wae_rnf_jax.errors import InputError

SIZES = (60, 20, 20)


def texts(corpus, split: str) -> list[str]:
    part = getattr(corpus, split)
    return [corpus.vocabulary.decode(part.sentence(i)) for i in range(len(part))]


def prepared(cache: str) -> list[str]:
    return sorted(os.listdir(cache)) if os.path.isdir(cache) else []


def test_text_comes_back_in_its_order(write_text, cache):
    corpus = load_corpus("text", path=write_text(), cache_dir=cache)
    assert texts(corpus, "train") == ["the cat saw a dog", "a dog slept", "the cat slept"]
    assert texts(corpus, "valid") == ["the dog saw the cat"]
    assert texts(corpus, "test") == ["a <unk> <unk>", "the cat <unk>"]
    assert corpus.vocabulary.words[4:] == ("the", "cat", "a", "dog", "slept", "saw")
    assert corpus.train.log_probs is None
    assert corpus.train.labels is None


def test_marks_and_carriage_returns_are_tolerated(write_text, cache):
    content = "\ufeffa dog\r\n\r\nthe <unk>  cat \r\n".encode()
    corpus = load_corpus("text", path=write_text(train=content), cache_dir=cache)
    assert texts(corpus, "train") == ["a dog", "the <unk> cat"]
    assert "<unk>" not in corpus.vocabulary.words[4:]


def test_empty_lines_are_counted(write_text, cache):
    path = write_text(train=["", "a b", "  ", "", "b"], test=["a", "\t"])
    corpus = load_corpus("text", path=path, cache_dir=cache)
    assert corpus.skipped == {"train": 3, "valid": 0, "test": 1}
    assert texts(corpus, "train") == ["a b", "b"]


def test_last_line_needs_no_line_feed(write_text, cache):
    corpus = load_corpus("text", path=write_text(train=b"a b\nc d"), cache_dir=cache)
    assert texts(corpus, "train") == ["a b", "c d"]


def test_leading_label_is_no_word(write_text, cache):
    path = write_text(
        train=["4 so good", "0 so bad", "4 fine", "3 "], valid=["0 bad"], test=["2 x"]
    )
    corpus = load_corpus("text", path=path, cache_dir=cache, label="leading")
    assert texts(corpus, "train") == ["so good", "so bad", "fine"]
    assert not {"0", "2", "4"} & set(corpus.vocabulary.words)
    assert [corpus.labels[i] for i in corpus.train.labels] == ["4", "0", "4"]
    assert [corpus.labels[i] for i in corpus.test.labels] == ["2"]
    assert corpus.skipped["train"] == 1


def test_sentences_are_cut(write_text, cache):
    corpus = load_corpus("text", path=write_text(), cache_dir=cache, max_words=2)
    assert texts(corpus, "train") == ["the cat", "a dog", "the cat"]
    assert set(corpus.vocabulary.words[4:]) == {"the", "cat", "a", "dog"}


def test_vocabulary_settings_reach_the_corpus(write_text, cache):
    path = write_text()
    rare = load_corpus("text", path=path, cache_dir=cache, min_count=2)
    assert texts(rare, "train")[0] == "the cat <unk> a dog"
    small = load_corpus("text", path=path, cache_dir=cache, max_size=5)
    assert small.vocabulary.words[4:] == ("the",)
    assert len(prepared(cache)) == 2


def test_a_given_vocabulary_is_taken_as_it_is(write_text, cache, tmp_path):
    path, file = write_text(), tmp_path / "words.txt"
    own = load_corpus("text", path=path, cache_dir=cache)
    words = (*SPECIAL_WORDS, "zebra", "slept", "the", "cat")
    Vocabulary(words).save(file)
    corpus = load_corpus("text", path=path, cache_dir=cache, vocabulary=str(file))
    assert corpus.vocabulary.words == words
    assert texts(corpus, "train")[:2] == ["the cat <unk> <unk> <unk>", "<unk> <unk> slept"]
    moved = file.rename(tmp_path / "moved.txt")
    again = load_corpus("text", path=path, cache_dir=cache, vocabulary=str(moved))
    assert again.fingerprint == corpus.fingerprint != own.fingerprint
    Vocabulary(words[:-1]).save(moved)
    load_corpus("text", path=path, cache_dir=cache, vocabulary=str(moved))
    assert len(prepared(cache)) == 3
    with pytest.raises(InputError, match=r"comes from .*moved\.txt: min_count must be 1 and max"):
        load_corpus("text", path=path, cache_dir=cache, vocabulary=str(moved), max_size=9)
    with pytest.raises(InputError, match=r"cannot read the vocabulary .*words\.txt: No such file"):
        load_corpus("text", path=path, cache_dir=cache, vocabulary=str(file))


def test_a_very_long_line_and_a_single_word(write_text, cache):
    corpus = load_corpus("text", path=write_text(train=["w " * 10_000]), cache_dir=cache)
    assert corpus.train.lengths.tolist() == [10_000]
    assert corpus.vocabulary.size == 5


@pytest.mark.parametrize(
    "splits, message",
    [
        ({"valid": None}, r"has no valid\.txt"),
        ({"train": None, "test": None}, r"has no train\.txt and no test\.txt"),
        ({"train": b""}, r"train\.txt is empty"),
        ({"valid": b"\n \n"}, "valid split contains no sentence"),
        ({"train": b"a b\nc \xe9t\xe9\n"}, r"train\.txt:2: not UTF-8 \(byte 3"),
        ({"train": "a b\n".encode("utf-16")}, r"train\.txt:1: not UTF-8"),
        ({"test": b"a\nb\nc\0d\n"}, r"test\.txt:3: a NUL byte"),
        ({"train": ["a b", "a <eos> b"]}, r"train\.txt:2: the word <eos> is reserved"),
        ({"valid": ["<pad>"]}, r"valid\.txt:1: the word <pad> is reserved"),
        ({"test": ["a", "x <bos>"]}, r"test\.txt:2: the word <bos> is reserved"),
    ],
)
def test_bad_text_is_refused_in_one_line(write_text, cache, splits, message):
    with pytest.raises(InputError, match=message) as caught:
        load_corpus("text", path=write_text(**splits), cache_dir=cache)
    assert "\n" not in str(caught.value)
    assert prepared(cache) == []


@pytest.mark.parametrize("path", ["", "/no/such/folder"])
def test_missing_folder_is_told(cache, path):
    with pytest.raises(InputError, match=r"needs a folder with train\.txt"):
        load_corpus("text", path=path, cache_dir=cache)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "csv"}, "grammar, text, table, tfds"),
        ({"source": "text", "label": "last"}, "none, leading"),
        ({"source": "text", "max_words": -1}, "max_words"),
        ({"source": "text", "min_count": 0}, "min_count"),
        ({"source": "grammar", "max_words": 5}, "max_words must be 0"),
        ({"source": "grammar", "num_sentences": (10, 10)}, "num_sentences"),
        ({"source": "grammar", "num_sentences": (10, 0, 10)}, "num_sentences"),
    ],
)
def test_bad_settings_are_refused(write_text, cache, settings, message):
    with pytest.raises(InputError, match=message):
        load_corpus(**{"path": write_text(), "cache_dir": cache, **settings})
    assert prepared(cache) == []


def test_grammar_keeps_exact_log_probabilities_and_topics(cache):
    corpus = load_corpus("grammar", cache_dir=cache, seed=5, num_sentences=SIZES)
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == SIZES
    for text, log_prob in list(zip(texts(corpus, "train"), corpus.train.log_probs, strict=True))[
        :20
    ]:
        assert math.isclose(grammar_log_prob(text), log_prob, rel_tol=1e-12)
    assert "kitchen" in corpus.labels
    other = load_corpus("grammar", cache_dir=cache, seed=6, num_sentences=SIZES)
    assert texts(other, "train") != texts(corpus, "train")
    assert other.fingerprint != corpus.fingerprint


def test_second_opening_reads_the_cache(write_text, cache, monkeypatch):
    path = write_text()
    first = load_corpus("text", path=path, cache_dir=cache)
    monkeypatch.setattr(corpora, "prepare_corpus", None)
    second = load_corpus("text", path=path, cache_dir=cache)
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.train.tokens, first.train.tokens)


def test_cache_is_keyed_by_content_not_by_place_or_time(write_text, cache, tmp_path):
    path = pathlib.Path(write_text())
    first = load_corpus("text", path=str(path), cache_dir=cache)
    moved = path.rename(tmp_path / "moved")
    os.utime(moved / "train.txt", (0, 0))
    assert load_corpus("text", path=str(moved), cache_dir=cache).fingerprint == first.fingerprint
    assert len(prepared(cache)) == 1
    changed = load_corpus("text", path=write_text(test=["the cat sang", "x"]), cache_dir=cache)
    assert changed.fingerprint != first.fingerprint
    assert len(prepared(cache)) == 2


def test_damaged_cache_is_told_and_prepared_again_once_deleted(write_text, cache):
    path = write_text()
    first = load_corpus("text", path=path, cache_dir=cache)
    vocabulary = pathlib.Path(cache) / prepared(cache)[0] / "vocabulary.txt"
    vocabulary.write_text(vocabulary.read_text().replace("dog", "fox"))
    with pytest.raises(
        InputError, match=r"vocabulary\.txt has changed since it was written; delete"
    ):
        load_corpus("text", path=path, cache_dir=cache)
    for file in sorted(vocabulary.parent.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    vocabulary.parent.rmdir()
    assert load_corpus("text", path=path, cache_dir=cache).fingerprint == first.fingerprint


def test_unwritable_cache_is_told(write_text, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        load_corpus("text", path=write_text(), cache_dir=str(tmp_path / "file" / "cache"))


@pytest.mark.parametrize(
    "interruption", [KeyboardInterrupt, OSError(28, "No space left on device")]
)
def test_interrupted_preparation_leaves_nothing(write_text, cache, monkeypatch, interruption):
    def fail(*args, **kwargs):
        raise interruption

    monkeypatch.setattr(preparation, "write_manifest", fail)
    expected = InputError if isinstance(interruption, OSError) else interruption
    with pytest.raises(expected):
        load_corpus("text", path=write_text(), cache_dir=cache)
    assert prepared(cache) == []


def test_text_is_prepared_and_opened_without_tfds(write_text, cache):
    path = write_text()
    code = (
        "import sys; from wae_rnf_jax.data.corpora import load_corpus;"
        f"load_corpus('text', path={path!r}, cache_dir={cache!r});"
        "print([name for name in ('tensorflow_datasets', 'grain') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_preparing_prints_nothing(write_text, cache, capfd):
    load_corpus("text", path=write_text(), cache_dir=cache)
    assert capfd.readouterr().out == ""


def test_evaluation_corpus_stands_alone(cache, tmp_path):
    corpus = load_corpus("grammar", cache_dir=cache, num_sentences=SIZES)
    save_evaluation_corpus(corpus, tmp_path / "run" / "corpus")
    kept = load_evaluation_corpus(tmp_path / "run" / "corpus")
    assert kept.train is None
    assert kept.num_train == corpus.num_train == len(corpus.train) == SIZES[0]
    assert kept.fingerprint == corpus.fingerprint
    assert kept.vocabulary == corpus.vocabulary
    assert kept.labels == corpus.labels
    for split in ("valid", "test"):
        assert texts(kept, split) == texts(corpus, split)
        np.testing.assert_array_equal(
            getattr(kept, split).log_probs, getattr(corpus, split).log_probs
        )


def test_evaluation_corpus_is_kept_once(write_text, cache, tmp_path):
    corpus = load_corpus("text", path=write_text(), cache_dir=cache)
    other = load_corpus("text", path=write_text(train=["x"]), cache_dir=cache)
    save_evaluation_corpus(corpus, tmp_path / "corpus")
    save_evaluation_corpus(corpus, tmp_path / "corpus")
    with pytest.raises(InputError, match="holds a different corpus"):
        save_evaluation_corpus(other, tmp_path / "corpus")
    assert load_evaluation_corpus(tmp_path / "corpus").fingerprint == corpus.fingerprint


def test_cached_corpus_is_found_by_its_content_alone(write_text, cache, monkeypatch):
    corpus = load_corpus("text", path=write_text(), cache_dir=cache)
    other = load_corpus("text", path=write_text(train=["x"]), cache_dir=cache)
    for split in ("train", "valid", "test"):
        os.unlink(pathlib.Path(write_text()) / f"{split}.txt")
    pathlib.Path(cache, "stray").mkdir()
    pathlib.Path(cache, "stray", "corpus.json").write_text("{")
    monkeypatch.setenv("CACHE", cache)
    for wanted in (corpus, other):
        found = cached_corpus("$CACHE", wanted.fingerprint)
        assert texts(found, "train") == texts(wanted, "train")
        assert found.vocabulary == wanted.vocabulary
    assert cached_corpus(cache, "0" * 64) is None
    assert cached_corpus(f"{cache}/none", corpus.fingerprint) is None


def test_missing_evaluation_corpus_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no prepared corpus"):
        load_evaluation_corpus(tmp_path)
