"""Corpora in an object store."""

import os
from pathlib import Path

import pytest
from bucket import install_bucket

from wae_rnf_jax.data import corpora
from wae_rnf_jax.data.corpora import cached_corpus, load_corpus
from wae_rnf_jax.data.tokenizers import Words
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.object_store import RemoteFolder

URL = "gs://bucket/text"
STORE = "gs://bucket/cache"


@pytest.fixture(autouse=True)
def bucket(monkeypatch, tmp_path):
    """An empty store, and a home whose cache is empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return install_bucket(tmp_path / "store", tmp_path / "mirrors", monkeypatch)


@pytest.fixture
def remote_text(write_text) -> RemoteFolder:
    remote = RemoteFolder(URL)
    for file in Path(write_text()).iterdir():
        remote.upload(file, file.name)
    return remote


def test_text_is_copied_once_and_gives_the_same_corpus(remote_text, bucket, write_text, cache):
    local = load_corpus("text", path=write_text(), cache_dir=cache)
    remote = load_corpus("text", path=URL, cache_dir=f"{cache}/other")
    assert remote.fingerprint == local.fingerprint
    bucket.reads.clear()
    load_corpus("text", path=URL, cache_dir=f"{cache}/other")
    assert bucket.reads == []


def test_a_vocabulary_of_the_store_is_taken(write_text, cache):
    words = "\n".join([*SPECIAL_WORDS, "dog", "zebra"])
    RemoteFolder(URL).write("words.txt", words.encode())
    corpus = load_corpus("text", path=write_text(), cache_dir=cache, vocabulary=f"{URL}/words.txt")
    assert corpus.vocabulary.words[4:] == ("dog", "zebra")
    with pytest.raises(InputError, match=r"gs://bucket/text has no none\.txt"):
        load_corpus("text", path=write_text(), cache_dir=cache, vocabulary=f"{URL}/none.txt")


def test_text_that_changed_is_copied_again(remote_text, cache):
    first = load_corpus("text", path=URL, cache_dir=cache)
    remote_text.write("test.txt", b"another sentence\n")
    assert load_corpus("text", path=URL, cache_dir=cache).fingerprint != first.fingerprint


def test_missing_text_is_told(remote_text, cache):
    remote_text.remove("valid.txt")
    with pytest.raises(InputError, match=r"gs://bucket/text has no valid\.txt"):
        load_corpus("text", path=URL, cache_dir=cache)
    assert not os.path.exists(cache)


def test_a_prepared_corpus_is_fetched_by_the_next_machine(remote_text, tmp_path, monkeypatch):
    first = load_corpus("text", path=URL, cache_dir=STORE)
    (name,) = {name.partition("/")[0] for name in RemoteFolder(STORE).names()}
    assert name.startswith("text-")
    assert cached_corpus(STORE, first.fingerprint).vocabulary == first.vocabulary
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(corpora, "prepare_corpus", None)
    second = load_corpus("text", path=URL, cache_dir=f"{STORE}/")
    assert second.fingerprint == first.fingerprint
    assert second.train.tokens.tolist() == first.train.tokens.tolist()
    assert str(second.train.tokens.filename).startswith(str(tmp_path / "elsewhere"))


def test_the_manifest_is_published_last(remote_text, bucket, monkeypatch):
    written = []
    monkeypatch.setattr(bucket, "on_write", staticmethod(written.append))
    load_corpus("text", path=URL, cache_dir=STORE)
    assert len(written) == 8
    assert written[-1].endswith("/corpus.json")


def cut(store, name):
    store.write(name, store.read(name)[:-5])


DAMAGES = {
    "cut": lambda store, folder: cut(store, f"{folder}/train/tokens.npy"),
    "missing": lambda store, folder: store.remove(f"{folder}/train/tokens.npy"),
    "manifest cut": lambda store, folder: cut(store, f"{folder}/corpus.json"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_corpus_in_the_store_is_told(remote_text, tmp_path, monkeypatch, damage):
    load_corpus("text", path=URL, cache_dir=STORE)
    store = RemoteFolder(STORE)
    damage(store, store.names()[0].partition("/")[0])
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match=r"gs://bucket/cache/text-\w+ is damaged: delete it"):
        load_corpus("text", path=URL, cache_dir=STORE)


def test_a_store_that_cannot_be_written_costs_nothing_but_a_warning(
    remote_text, bucket, monkeypatch, capsys
):
    def refuse(name):
        raise PermissionError("no right to write")

    monkeypatch.setattr(bucket, "on_write", staticmethod(refuse))
    corpus = load_corpus("text", path=URL, cache_dir=STORE)
    assert len(corpus.train) == 3
    said = [line for line in capsys.readouterr().err.splitlines() if "note: " not in line]
    assert len(said) == 1
    said = said[0]
    assert "no right to write; the prepared corpus is kept only on this machine" in said


def test_a_dataset_that_the_store_lacks_is_told(remote_text, cache):
    with pytest.raises(InputError, match="gs://bucket/text holds no dataset 'ptb'"):
        load_corpus("tfds", dataset="ptb/words:1.0.0", path=f"{URL}/", cache_dir=cache)


@pytest.mark.parametrize("setting", ["path", "cache_dir", "vocabulary"])
def test_a_url_of_no_store_is_refused_and_not_taken_for_a_folder(
    write_text, cache, tmp_path, monkeypatch, setting
):
    monkeypatch.chdir(tmp_path)
    places = {"path": write_text(), "cache_dir": cache, setting: "http://host/x"}
    with pytest.raises(InputError, match=r"^http://host.* is not a usable folder: give a local"):
        load_corpus("text", **places)
    assert not Path("http:").exists()


def test_a_single_file_a_table_and_a_tokenizer_of_the_store_are_read(cache, tmp_path):
    lines = [f"line {i} of them" for i in range(60)]
    table = "".join(f"{i % 3},{line}\n" for i, line in enumerate(lines))
    contents = {"raw.txt": "\n".join(lines), "rows.csv": f"stars,text\n{table}"}
    contents["tokenizer.json"] = Words().content()
    for name, content in contents.items():
        RemoteFolder(URL).write(name, content.encode())
        (tmp_path / name).write_text(content)
    for source, name in (("text", "raw.txt"), ("table", "rows.csv")):
        local, remote = (
            load_corpus(
                source,
                path=f"{place}/{name}",
                cache_dir=f"{cache}/{place == URL}",
                tokenizer=f"{place}/tokenizer.json",
            )
            for place in (str(tmp_path), URL)
        )
        assert remote.fingerprint == local.fingerprint
        assert remote.vocabulary.tokenizer == Words()
        assert sum(map(len, (remote.train, remote.valid, remote.test))) == len(lines)


def test_tables_of_each_split_in_the_store_are_read(cache):
    for split in ("train", "valid", "test"):
        RemoteFolder(URL).write(f"{split}.jsonl", f'{{"text": "{split} one"}}\n'.encode())
    RemoteFolder(URL).write("notes.md", b"no table")
    corpus = load_corpus("table", path=URL, cache_dir=cache, tokenizer="char")
    assert corpus.vocabulary.decode(corpus.valid.sentence(0)).endswith("one")
    with pytest.raises(InputError, match="no table 'gs://bucket/none'"):
        load_corpus("table", path="gs://bucket/none", cache_dir=cache)
