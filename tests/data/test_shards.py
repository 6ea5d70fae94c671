"""Parts of a text: wherever it is cut, they hold each line once, and name a bad one rightly."""

import random

import pytest

from wae_rnf_jax.data import shards
from wae_rnf_jax.data.shards import END, RecordShard, record_blocks, text_shards
from wae_rnf_jax.data.text import Record, text_records
from wae_rnf_jax.errors import InputError

PIECES = [
    "a",
    "naïve",
    "東京",
    " ",
    "\t",
    "\u2028",
    "\x1c",
    "\r\n",
    "\n",
    "\n\n",
    "x<eos>",
    "<unk>",
]


def random_text(rng: random.Random) -> bytes:
    mark = "\ufeff" if rng.random() < 0.3 else ""
    return (mark + "".join(rng.choices(PIECES, k=rng.randint(1, 60)))).encode()


def read(file, label: str) -> list[Record]:
    """The parts' sentences as records."""
    found = []
    for shard in text_shards(file, label=label):
        for block in shard.blocks():
            assert block.words[-1] == END
            texts, words = [], []
            for word in block.words:
                if word == END:
                    texts.append(" ".join(words))
                    words = []
                else:
                    words.append(word)
            labels = block.labels or [None] * len(texts)
            found += [Record(*pair) for pair in zip(texts, labels, strict=True)]
    return found


@pytest.mark.parametrize("label", ["none", "leading"])
def test_parts_hold_each_line_once_wherever_the_text_is_cut(tmp_path, monkeypatch, label):
    rng, file = random.Random(label), tmp_path / "train.txt"
    for _ in range(300):
        monkeypatch.setattr(shards, "SHARD_BYTES", rng.randint(1, 70))
        monkeypatch.setattr(shards, "_BLOCK_BYTES", rng.randint(1, 40))
        file.write_bytes(random_text(rng))
        empty = None if label == "none" else ""
        expected = [
            Record(" ".join(record.text.split()), empty if record.label is None else record.label)
            for record in text_records(file, label=label)
        ]
        assert read(file, label) == expected, file.read_bytes()


BAD = {
    "not UTF-8": b"caf\xe9",
    "a NUL byte": b"a\0b",
    "the word <bos> is reserved": b"a <bos>",
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_line_is_named_whatever_part_it_is_in(tmp_path, monkeypatch, message):
    monkeypatch.setattr(shards, "SHARD_BYTES", 50)
    monkeypatch.setattr(shards, "_BLOCK_BYTES", 20)
    file = tmp_path / "train.txt"
    for number in (1, 2, 30, 60):
        lines = [b"some words <eos>er"] * 60
        lines[number - 1] = BAD[message]
        file.write_bytes(b"\n".join(lines))
        with pytest.raises(InputError, match=rf"train\.txt:{number}: {message}"):
            read(file, "none")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*train\.txt: No such file"):
        text_shards(tmp_path / "train.txt", label="none")


def test_records_become_blocks(monkeypatch):
    monkeypatch.setattr(shards, "_BLOCK_RECORDS", 2)
    records = [Record("a  b", "x", -1.0), Record(" ", "y", -2.0), Record("c", "x", -3.0)]
    first, second = RecordShard(lambda: records).blocks()
    assert first == (["a", "b", END, END], ["x", "y"], [-1.0, -2.0])
    assert second == (["c", END], ["x"], [-3.0])
    assert list(record_blocks([Record("d")])) == [(["d", END], None, None)]
