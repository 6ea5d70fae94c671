"""Large texts: any number of processes makes the same corpus; threads that want it share it."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from wae_rnf_jax.data import corpora, shards
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.errors import InputError


@pytest.fixture
def text(write_text, monkeypatch) -> str:
    """A folder of labelled text, and parts so small that there are dozens."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 400)
    rng = random.Random(0)
    words = [f"w{rank}" for rank in range(1, 60)]
    weights = [1 / rank for rank in range(1, 60)]

    def line() -> str:
        length = rng.choice([0, 1, 3, 9])
        return " ".join([f"label{rng.randrange(20)}", *rng.choices(words, weights, k=length)])

    return write_text(
        **{
            split: [line() for _ in range(n)]
            for split, n in (("train", 500), ("valid", 30), ("test", 40))
        }
    )


SETTINGS = {"label": "leading", "max_words": 7, "min_count": 3}


@pytest.mark.parametrize("num_workers", [3, pytest.param(7, marks=pytest.mark.slow)])
def test_the_number_of_processes_changes_nothing(text, tmp_path, num_workers):
    one, many = (
        load_corpus("text", path=text, cache_dir=str(tmp_path / str(n)), num_workers=n, **SETTINGS)
        for n in (1, num_workers)
    )
    assert one.fingerprint == many.fingerprint
    assert one.labels == many.labels
    assert one.skipped == many.skipped
    assert one.skipped["train"] > 50


def test_what_is_prepared_in_parts_is_what_the_lines_say(text, cache):
    corpus = load_corpus("text", path=text, cache_dir=cache, label="leading")
    lines = map(str.split, Path(text, "train.txt").read_text().splitlines())
    kept = [line for line in lines if len(line) > 1]
    assert len(corpus.train) == len(kept)
    for i, (label, *words) in enumerate(kept):
        assert corpus.vocabulary.decode(corpus.train.sentence(i)) == " ".join(words)
        assert corpus.labels[corpus.train.labels[i]] == label


def test_a_bad_line_is_named_by_many_processes_too(text, cache):
    file = Path(text, "train.txt")
    lines = file.read_text().splitlines()
    lines[300], lines[450] = "label a <eos>", "label <pad>"
    file.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"train\.txt:301: the word <eos> is reserved"):
        load_corpus("text", path=text, cache_dir=cache, num_workers=2)


def test_of_those_who_want_a_corpus_at_once_one_prepares_it(write_text, cache, monkeypatch):
    path, prepare = write_text(), corpora.prepare_corpus
    prepared, opened = [], []

    def slow(*args, **kwargs):
        prepared.append(True)
        time.sleep(0.3)
        prepare(*args, **kwargs)

    def load():
        opened.append(load_corpus("text", path=path, cache_dir=cache))

    monkeypatch.setattr(corpora, "prepare_corpus", slow)
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(prepared) == 1
    assert len({corpus.fingerprint for corpus in opened}) == 1
    assert len(opened) == 3
    np.testing.assert_array_equal(opened[0].train.tokens, opened[2].train.tokens)
