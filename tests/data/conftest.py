"""Fixtures of the data tests: small corpora on disk."""

import sys

import pytest

SENTENCES = {
    "train": ["the cat saw a dog", "a dog slept", "the cat slept"],
    "valid": ["the dog saw the cat"],
    "test": ["a bird sang", "the cat sang"],
}


@pytest.fixture(autouse=True)
def no_tensorflow():
    """Fails whatever test causes tensorflow to be imported."""
    yield
    assert "tensorflow" not in sys.modules


@pytest.fixture
def write_text(tmp_path):
    """Writes a text folder from bytes or lists of lines, by split; gives its path."""

    def write(**splits) -> str:
        folder = tmp_path / "text"
        folder.mkdir(exist_ok=True)
        for split, content in {**SENTENCES, **splits}.items():
            if content is None:
                continue
            if not isinstance(content, bytes):
                content = "".join(f"{line}\n" for line in content).encode()
            (folder / f"{split}.txt").write_bytes(content)
        return str(folder)

    return write


@pytest.fixture
def cache(tmp_path) -> str:
    return str(tmp_path / "cache")
