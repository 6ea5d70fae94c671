"""Corpora in an object store: here fsspec's store in memory, under the name of gs."""

import os
import sys
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from wae_rnf_jax.data import corpora, remote_files
from wae_rnf_jax.data.corpora import cached_corpus, load_corpus
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS
from wae_rnf_jax.errors import InputError

URL = "gs://bucket/text"
STORE = "gs://bucket/cache"


class FakeStore(MemoryFileSystem):
    """A store of its own, apart from what other users of memory:// keep."""

    protocol = ("gs", "gcs")
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    reads: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + str(path).removeprefix("gs://").removeprefix("gcs://").strip("/")

    def _open(self, path, mode="rb", **settings):
        if mode == "rb":
            self.reads.append(path)
        return super()._open(path, mode, **settings)


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path) -> FakeStore:
    """An empty store, and a home whose cache is empty."""
    for name in ("gs", "gcs"):
        fsspec.register_implementation(name, FakeStore, clobber=True)
    monkeypatch.setattr("etils.epath.gpath._is_tf_installed", lambda: False)
    FakeStore.store.clear()
    FakeStore.pseudo_dirs[:] = [""]
    FakeStore.reads.clear()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return FakeStore()


@pytest.fixture
def remote_text(store, write_text) -> str:
    folder = write_text()
    for file in Path(folder).iterdir():
        store.pipe_file(f"{URL}/{file.name}", file.read_bytes())
    return URL


def test_text_is_copied_once_and_gives_the_same_corpus(remote_text, store, write_text, cache):
    local = load_corpus("text", path=write_text(), cache_dir=cache)
    remote = load_corpus("text", path=remote_text, cache_dir=f"{cache}/other")
    assert remote.fingerprint == local.fingerprint
    store.reads.clear()
    load_corpus("text", path=remote_text, cache_dir=f"{cache}/other")
    assert store.reads == []


def test_a_vocabulary_of_the_store_is_taken(store, write_text, cache):
    words = "\n".join([*SPECIAL_WORDS, "dog", "zebra"])
    store.pipe_file(f"{URL}/words.txt", words.encode())
    corpus = load_corpus("text", path=write_text(), cache_dir=cache, vocabulary=f"{URL}/words.txt")
    assert corpus.vocabulary.words[4:] == ("dog", "zebra")
    with pytest.raises(InputError, match=r"gs://bucket/text has no none\.txt"):
        load_corpus("text", path=write_text(), cache_dir=cache, vocabulary=f"{URL}/none.txt")


def test_text_that_changed_is_copied_again(remote_text, store, cache):
    first = load_corpus("text", path=remote_text, cache_dir=cache)
    store.pipe_file(f"{URL}/test.txt", b"another sentence\n")
    assert load_corpus("text", path=remote_text, cache_dir=cache).fingerprint != first.fingerprint


def test_missing_text_is_told(remote_text, store, cache):
    store.rm_file(f"{URL}/valid.txt")
    with pytest.raises(InputError, match=r"gs://bucket/text has no valid\.txt"):
        load_corpus("text", path=remote_text, cache_dir=cache)
    assert not os.path.exists(cache)


def test_a_prepared_corpus_is_fetched_by_the_next_machine(
    remote_text, store, tmp_path, monkeypatch
):
    first = load_corpus("text", path=remote_text, cache_dir=STORE)
    assert store.glob("gs://bucket/cache/text-*/corpus.json")
    assert cached_corpus(STORE, first.fingerprint).vocabulary == first.vocabulary
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(corpora, "prepare_corpus", None)
    second = load_corpus("text", path=remote_text, cache_dir=f"{STORE}/")
    assert second.fingerprint == first.fingerprint
    assert second.train.tokens.tolist() == first.train.tokens.tolist()
    assert str(second.train.tokens.filename).startswith(str(tmp_path / "elsewhere"))


def test_the_manifest_is_published_last(remote_text, store, monkeypatch):
    written = []
    original = FakeStore._open

    def watched(self, path, mode="rb", **settings):
        if mode == "wb":
            written.append(path)
        return original(self, path, mode, **settings)

    monkeypatch.setattr(FakeStore, "_open", watched)
    load_corpus("text", path=remote_text, cache_dir=STORE)
    assert len(written) == 8
    assert written[-1].endswith("/corpus.json")


def test_a_damaged_corpus_in_the_store_is_told(remote_text, store, tmp_path, monkeypatch):
    load_corpus("text", path=remote_text, cache_dir=STORE)
    (tokens,) = store.glob("gs://bucket/cache/text-*/train/tokens.npy")
    store.pipe_file(tokens, store.cat_file(tokens)[:-1])
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match=r"gs://bucket/cache/text-\w+ is damaged: delete it"):
        load_corpus("text", path=remote_text, cache_dir=STORE)


def test_a_store_that_cannot_be_written_costs_nothing_but_a_warning(
    remote_text, monkeypatch, capsys
):
    def refuse(self, path, mode="rb", **settings):
        if mode == "wb":
            raise PermissionError("no right to write")
        return MemoryFileSystem._open(self, path, mode, **settings)

    monkeypatch.setattr(FakeStore, "_open", refuse)
    corpus = load_corpus("text", path=remote_text, cache_dir=STORE)
    assert len(corpus.train) == 3
    assert "(PermissionError: no right to write); the prepared corpus" in capsys.readouterr().err


def test_a_missing_package_is_named(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"s3://bucket/text needs the package s3fs, .*pip install"):
        load_corpus("text", path="s3://bucket/text", cache_dir=cache)


def test_a_dataset_is_copied_with_all_its_files(store, tmp_path):
    for name in ("ds/1.0.0/a.json", "ds/1.0.0/b/c.bin", "other/x"):
        store.pipe_file(f"gs://bucket/tfds/{name}", name.encode())
    names = remote_files.remote_names("gs://bucket/tfds/ds")
    assert names == ["1.0.0/a.json", "1.0.0/b/c.bin"]
    folder = remote_files.local_copy("gs://bucket/tfds/ds", names, tmp_path)
    assert (folder / "1.0.0" / "b" / "c.bin").read_bytes() == b"ds/1.0.0/b/c.bin"
