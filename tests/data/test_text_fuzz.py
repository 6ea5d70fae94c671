"""Whatever bytes a text holds, its two readers agree, and it is read or refused in one sentence."""

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wae_rnf_jax.data import shards
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.notes import form_notes
from wae_rnf_jax.data.shards import END, text_shards
from wae_rnf_jax.data.text import LABELS, SPLITS, text_records
from wae_rnf_jax.errors import InputError

pytestmark = pytest.mark.fuzz

PIECES = ["\r", "\n", "\r\n", "\ufeff", "<eos>", "<unk>", " ", "\t", "\0", "\x85", "\u2028", "x"]
TEXTS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4))).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    ),
)
SIZES = st.integers(1, 40)


def outcome(read):
    """What a reader gives, or its one sentence."""
    try:
        return read()
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    return message


def by_lines(source, label: str) -> list[tuple[list[str], str]]:
    return [
        (record.text.split(), record.label or "") for record in text_records(source, label=label)
    ]


def by_parts(file: Path, label: str) -> list[tuple[list[str], str]]:
    found = []
    for shard in text_shards(file, label=label):
        for block in shard.blocks():
            ends = [place for place, word in enumerate(block.words) if word == END]
            begins = [0, *(end + 1 for end in ends)]
            sentences = [block.words[a:b] for a, b in zip(begins, ends, strict=False)]
            found += zip(sentences, block.labels or [""] * len(ends), strict=True)
    return found


@settings(max_examples=400, deadline=None)
@given(content=TEXTS, label=st.sampled_from(LABELS), shard=SIZES, block=SIZES)
def test_lines_parts_and_stream_are_read_alike(content, label, shard, block):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", shard)
        patch.setattr(shards, "_BLOCK_BYTES", block)
        file = Path(folder, "train.txt")
        file.write_bytes(content)
        expected = outcome(lambda: by_lines(file, label))
        assert outcome(lambda: by_parts(file, label)) == expected
        stream = outcome(lambda: by_lines(io.BytesIO(content), label))
        assert stream == expected or stream == expected.replace(str(file), "standard input")
        assert all("\n" not in note for note in form_notes(file, label=label))


@settings(max_examples=60, deadline=None)
@given(contents=st.tuples(TEXTS, TEXTS, TEXTS), label=st.sampled_from(LABELS))
def test_any_text_is_prepared_or_refused_in_one_sentence(contents, label):
    with tempfile.TemporaryDirectory() as folder:
        for split, content in zip(SPLITS, contents, strict=True):
            Path(folder, f"{split}.txt").write_bytes(content)
        cache = f"{folder}/cache"
        corpus = outcome(lambda: load_corpus("text", path=folder, cache_dir=cache, label=label))
        if not isinstance(corpus, str):
            assert all("\n" not in note for note in corpus.notes)
            assert corpus.train.lengths.min() > 0
