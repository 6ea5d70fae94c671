"""Token arrays on disk: types, round trips, and what damage looks like."""

import json
import os

import numpy as np
import pytest

from wae_rnf_jax.data import digests, tokens
from wae_rnf_jax.data.manifest import read_manifest, restore_stamps, write_manifest
from wae_rnf_jax.data.tokens import TokenSplit, TokenWriter
from wae_rnf_jax.errors import InputError

SENTENCES = [[4, 5, 6], [7], [5, 5, 5, 8]]


@pytest.mark.parametrize(
    "vocab_size, dtype", [(5, "uint8"), (256, "uint8"), (257, "uint16"), (65_537, "uint32")]
)
def test_ids_take_the_smallest_type(tmp_path, vocab_size, dtype):
    with TokenWriter(tmp_path / "train", vocab_size=vocab_size) as writer:
        writer.extend(np.array([vocab_size - 1]), np.array([1]))
    split = TokenSplit.load(tmp_path / "train")
    assert split.tokens.dtype == dtype
    assert split.sentence(0).tolist() == [vocab_size - 1]


def test_id_beyond_the_vocabulary_is_refused(tmp_path):
    with (
        TokenWriter(tmp_path / "train", vocab_size=10) as writer,
        pytest.raises(ValueError, match="id 10 of a vocabulary of 10 words"),
    ):
        writer.extend(np.array([3, 10]), np.array([2]))


def test_written_split_is_mapped_and_equal(tmp_path):
    log_probs, labels = [-1.5, -1 / 3, -20.0], [0, 2, 1]
    with TokenWriter(tmp_path / "train", vocab_size=9) as writer:
        for begin, end in ((0, 2), (2, 2), (2, 3)):
            writer.extend(
                np.concatenate([*SENTENCES[begin:end], []]).astype(int),
                np.array([len(ids) for ids in SENTENCES[begin:end]]),
                log_probs=np.array(log_probs[begin:end]),
                labels=np.array(labels[begin:end]),
            )
    split = TokenSplit.load(tmp_path / "train")
    assert isinstance(split.tokens, np.memmap)
    assert [split.sentence(i).tolist() for i in range(len(split))] == SENTENCES
    assert split.lengths.tolist() == [3, 1, 4]
    assert split.num_words == 8
    assert split.log_probs.tolist() == log_probs
    assert split.labels.tolist() == labels


def test_split_in_memory_equals_the_saved_one(tmp_path):
    split = TokenSplit.from_sentences(SENTENCES, vocab_size=9, log_probs=[-1.0, -2.0, -3.0])
    split.save(tmp_path / "valid", vocab_size=9)
    loaded = TokenSplit.load(tmp_path / "valid")
    np.testing.assert_array_equal(loaded.tokens, split.tokens)
    np.testing.assert_array_equal(loaded.offsets, split.offsets)
    np.testing.assert_array_equal(loaded.log_probs, split.log_probs)
    assert loaded.labels is None


def test_occurrences_are_counted_over_all_blocks(monkeypatch):
    monkeypatch.setattr(tokens, "_BLOCK", 3)
    split = TokenSplit.from_sentences(SENTENCES, vocab_size=9)
    assert [split.occurrences(i) for i in (4, 5, 6, 8, 0)] == [1, 4, 1, 1, 0]


@pytest.mark.parametrize("index", [-1, 3])
def test_no_such_sentence(index):
    with pytest.raises(IndexError):
        TokenSplit.from_sentences(SENTENCES, vocab_size=9).sentence(index)


@pytest.mark.parametrize("second", [{}, {"log_probs": np.ones(1), "labels": np.ones(1)}])
def test_labels_are_given_for_all_or_for_none(tmp_path, second):
    first = {"labels": np.zeros(1)} if not second else {"log_probs": -np.ones(1)}
    with TokenWriter(tmp_path / "train", vocab_size=9) as writer:
        writer.extend(np.array([4]), np.array([1]), **first)
        with pytest.raises(ValueError, match="every sentence or for none"):
            writer.extend(np.array([5]), np.array([1]), **second)


@pytest.fixture
def corpus_directory(tmp_path):
    directory = tmp_path / "corpus"
    directory.mkdir()
    (directory / "vocabulary.txt").write_text("<pad>\n<unk>\n<bos>\n<eos>\na\n")
    TokenSplit.from_sentences(SENTENCES, vocab_size=9).save(directory / "test", vocab_size=9)
    write_manifest(directory, {"labels": [], "skipped": {}})
    return directory


def test_manifest_lists_every_file(corpus_directory):
    manifest = read_manifest(corpus_directory)
    assert set(manifest["files"]) == {"vocabulary.txt", "test/tokens.npy", "test/offsets.npy"}
    assert len(manifest["fingerprint"]) == 64


@pytest.mark.parametrize("name", ["vocabulary.txt", "test/tokens.npy", "test/offsets.npy"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "empty"])
def test_damage_is_found_and_named(corpus_directory, name, damage):
    path = corpus_directory / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes({"cut": content[:-1], "flipped": flipped, "empty": b""}[damage])
    with pytest.raises(InputError, match=name):
        read_manifest(corpus_directory)


def test_a_large_file_is_read_where_it_looks_touched_or_the_check_is_thorough(
    corpus_directory, monkeypatch
):
    monkeypatch.setattr(digests, "LARGE", 1)
    write_manifest(corpus_directory, {"labels": [], "skipped": {}})
    path = corpus_directory / "test" / "tokens.npy"
    written, content = path.stat(), path.read_bytes()
    read_manifest(corpus_directory, thorough=True)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"tokens\.npy has changed since it was written"):
        read_manifest(corpus_directory)
    os.utime(path, ns=(written.st_mtime_ns, written.st_mtime_ns))  # as a failing disk might do it
    read_manifest(corpus_directory)
    with pytest.raises(InputError, match=r"tokens\.npy has changed since it was written"):
        read_manifest(corpus_directory, thorough=True)
    path.write_bytes(content)
    restore_stamps(corpus_directory)
    assert path.stat().st_mtime_ns == written.st_mtime_ns


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "files": []}',
        '{"format": 1, "files": {}}',
    ],
)
def test_damaged_manifest_is_found_and_named(corpus_directory, content):
    (corpus_directory / "corpus.json").write_text(content)
    with pytest.raises(InputError, match=r"corpus\.json"):
        read_manifest(corpus_directory)


def test_manifest_of_another_format_is_refused(corpus_directory):
    path = corpus_directory / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(InputError, match="format"):
        read_manifest(corpus_directory)


def test_missing_manifest_is_told(tmp_path):
    with pytest.raises(InputError, match="no prepared corpus"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["tokens", "offsets"])
def test_cut_array_is_not_mapped(tmp_path, name):
    TokenSplit.from_sentences(SENTENCES, vocab_size=9).save(tmp_path / "test", vocab_size=9)
    path = tmp_path / "test" / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=f"{name}.npy is damaged"):
        TokenSplit.load(tmp_path / "test")


def test_arrays_of_different_splits_do_not_open(tmp_path):
    TokenSplit.from_sentences(SENTENCES, vocab_size=9).save(tmp_path / "a", vocab_size=9)
    TokenSplit.from_sentences(SENTENCES[:2], vocab_size=9).save(tmp_path / "b", vocab_size=9)
    (tmp_path / "b" / "tokens.npy").replace(tmp_path / "a" / "tokens.npy")
    with pytest.raises(InputError, match="do not match"):
        TokenSplit.load(tmp_path / "a")
