"""Files of an object store: taken by name, listed whole, copied once; failures in one sentence."""

import sys

import pytest
from bucket import install_bucket

from wae_rnf_jax.errors import InputError
from wae_rnf_jax.storage.object_store import RemoteError, RemoteFolder, checked_url, is_remote

URL = "gs://bucket/runs/a"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    return install_bucket(tmp_path / "store", tmp_path / "here", monkeypatch)


@pytest.fixture
def folder(bucket):
    return RemoteFolder(URL)


def failing(error):
    def fail(self, *arguments, **options):
        raise error

    return fail


def test_files_are_written_listed_read_and_removed(folder, tmp_path):
    assert folder.names() == []
    assert folder.read("a.json") is None
    folder.remove("a.json")
    folder.write("a.json", b"{}")
    (tmp_path / "big").write_bytes(b"content")
    folder.upload(tmp_path / "big", "b/c/big")
    folder.write("b/d", b"")
    assert folder.names() == ["a.json", "b/c/big", "b/d"]
    assert folder.names("b") == ["b/c/big", "b/d"]
    assert folder.read("a.json") == b"{}"
    folder.download("b/c/big", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == b"content"
    folder.remove_folder("b")
    folder.remove_folder("b")
    assert folder.names() == ["a.json"]


def test_names_are_those_of_a_whole_bucket_too(bucket):
    RemoteFolder(URL).write("x", b"")
    assert RemoteFolder("gs://bucket").names() == ["runs/a/x"]


NAMES = ["job[3]", "job*", "job?", "a#b", "a%20b", "a b", "a::b", "é"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_no_pattern(bucket, tmp_path, name):
    others = ["job3", "job33", "a"]
    for other in others:
        RemoteFolder(f"gs://bucket/{other}").write("latest/3", b"of another")
    folder = RemoteFolder(f"gs://bucket/{name}")
    source = tmp_path / name
    source.write_bytes(b"own")
    folder.upload(source, f"latest/{name}")
    assert folder.names() == [f"latest/{name}"]
    assert folder.read(f"latest/{name}") == b"own"
    folder.download(f"latest/{name}", tmp_path / f"{name} copy")
    copy = folder.cached([f"latest/{name}"], tmp_path / "cache")
    assert (copy / "latest" / name).read_bytes() == b"own"
    folder.remove(f"latest/{name}")
    folder.write(f"latest/{name}", b"")
    folder.remove_folder("latest")
    assert folder.names() == []
    assert RemoteFolder("gs://bucket").names() == sorted(f"{other}/latest/3" for other in others)


def test_copies_are_made_once_and_anew_when_the_store_has_others(bucket, folder, tmp_path):
    for name in ("1.0.0/a.json", "1.0.0/b/c.bin", "other"):
        folder.write(name, name.encode())
    names = folder.names("1.0.0")
    first = folder.cached(names, tmp_path / "cache")
    assert (first / "1.0.0" / "b" / "c.bin").read_bytes() == b"1.0.0/b/c.bin"
    assert not (first / "other").exists()
    bucket.reads.clear()
    assert folder.cached(names, tmp_path / "cache") == first
    assert bucket.reads == []
    folder.write("1.0.0/a.json", b"changed")
    second = folder.cached(names, tmp_path / "cache")
    assert second != first
    assert (second / "1.0.0" / "a.json").read_bytes() == b"changed"


def test_what_is_missing_is_told(folder, tmp_path):
    with pytest.raises(InputError, match=f"^{URL} has no a and no b$"):
        folder.cached(["a", "b"], tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(FileNotFoundError):
        folder.download("a", tmp_path / "a")
    with pytest.raises(RemoteError, match="none is missing"):
        folder.upload(tmp_path / "none", "a")


def test_a_store_that_fails_is_not_taken_for_an_empty_one(bucket, folder, monkeypatch):
    folder.write("b/c/d", b"")
    ls, refused = bucket.ls, PermissionError("no\nTraceback")

    def out_below(self, path, **options):
        if str(path).endswith("/c"):
            raise refused
        return ls(self, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(bucket, "ls", out_below)  # deep down, where fsspec's own walk is silent
        with pytest.raises(RemoteError, match=f"^{URL} cannot be listed: no$"):
            folder.names()
    with monkeypatch.context() as patch:
        patch.setattr(bucket, "ls", failing(refused))
        with pytest.raises(RemoteError, match=f"^{URL} cannot be listed: no$"):
            folder.names()
    monkeypatch.setattr(bucket, "_open", failing(OSError("the store is out")))
    with pytest.raises(RemoteError, match=rf"^{URL} cannot be read \(a\): the store is out$"):
        folder.read("a")
    with pytest.raises(RemoteError, match=rf"^{URL} cannot be written \(a\): the store is out$"):
        folder.write("a", b"")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"^gs://b/a needs the package gcsfs, .*pip install gcsfs"):
        RemoteFolder("gs://b/a").names()
    with pytest.raises(InputError, match=r"^s3://b/a needs the package s3fs, .*pip install s3fs"):
        RemoteFolder("s3://b/a").read("x")


def test_a_url_has_one_form():
    assert is_remote("gs://b/a")
    assert not is_remote("gs/b:a")
    assert checked_url("gs://b//c/../a/") == "gs://b/a"


@pytest.mark.parametrize("name", ["http://a/b", "gs://", "gs:///", "://a"])
def test_other_urls_are_refused(name):
    with pytest.raises(InputError, match=f"^{name} is not a usable folder: give a local"):
        RemoteFolder(name)
