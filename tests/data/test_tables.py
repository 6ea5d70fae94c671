"""Tables and single files: one corpus whatever the form, splits that share no sentence."""

import csv
import gzip
import io
import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.tables import TABLES, Row, table_rows
from wae_rnf_jax.errors import InputError

FORMS = [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz"]


def write_table(file: Path, rows: list[dict]) -> str:
    """A table of any form; rows have the same keys, in one order."""
    names, values = list(rows[0]), [[str(x) for x in row.values()] for row in rows]
    kind = file.name.partition(".")[2]
    if kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        return str(file)
    text = io.StringIO()
    if kind.startswith("csv"):
        csv.writer(text).writerows([names, *values])
    elif kind == "tsv":
        text.write("".join("\t".join(row) + "\n" for row in [names, *values]))
    else:
        text.write("".join(json.dumps(row) + "\n" for row in rows))
    content = text.getvalue().encode()
    file.write_bytes(gzip.compress(content) if kind.endswith(".gz") else content)
    return str(file)


def reviews(number: int = 300) -> list[dict]:
    """Rows with quotes and commas, repetitions and few users."""
    rng = random.Random(0)
    words = 'the food was good , "really" good, and cheap ; we came back'.split()
    return [
        {
            "user": f"user {rng.randrange(40)}",
            "stars": rng.randint(1, 5),
            "review": "".join(f"{word} " for word in rng.choices(words, k=rng.randint(1, 6))),
        }
        for _ in range(number)
    ]


FIELDS = {"text_field": "review", "label_field": "stars"}


def load(path: str, cache: str, source: str = "table", **more):
    # Of characters, so that no word of valid and test is unknown.
    given = {"tokenizer": "char", **(FIELDS if source == "table" else {}), **more}
    return load_corpus(source, path=path, cache_dir=cache, **given)


def texts(corpus, split: str) -> list[str]:
    part = getattr(corpus, split)
    return [corpus.vocabulary.decode(part.sentence(i)) for i in range(len(part))]


def test_one_text_is_one_corpus_in_every_form(tmp_path, cache):
    found = {
        form: load(write_table(tmp_path / f"reviews{form}", reviews()), f"{cache}{form}")
        for form in FORMS
    }
    lines = "".join(f"{row['stars']} {row['review']}\n" for row in reviews())
    (tmp_path / "reviews.txt").write_text(lines)
    found["text"] = load(str(tmp_path / "reviews.txt"), cache, "text", label="leading")
    first = found[".csv"]
    assert {corpus.fingerprint for corpus in found.values()} == {first.fingerprint}
    together = sorted(line for split in ("train", "valid", "test") for line in texts(first, split))
    assert together == sorted(" ".join(row["review"].split()) for row in reviews())
    assert set(first.labels) == set("12345")


def test_splits_share_no_sentence_and_hold_their_shares(tmp_path, cache):
    rows = reviews(2000)
    for row in rows:  # as labels differ between repetitions
        row["review"] = " ".join(row["review"].split()[:4])
    path = write_table(tmp_path / "reviews.jsonl", rows)
    corpus = load(path, cache, fractions=(0.5, 0.3, 0.2))
    splits = [texts(corpus, split) for split in ("train", "valid", "test")]
    distinct = [set(split) for split in splits]
    assert not distinct[0] & distinct[1] | distinct[0] & distinct[2] | distinct[1] & distinct[2]
    total = sum(map(len, distinct))
    for part, share in zip(distinct, (0.5, 0.3, 0.2), strict=True):
        assert abs(len(part) / total - share) < 4 * (share * (1 - share) / total) ** 0.5
    counts = ", ".join(
        f"{name} {len(s):,}" for name, s in zip(("train", "valid", "test"), splits, strict=True)
    )
    assert f"split by data.fractions and data.seed: {counts} sentences" in corpus.notes
    repeated = f"{2000 - total:,} sentences repeat another one; all copies of a sentence"
    assert any(note.startswith(repeated) for note in corpus.notes)
    assert not any("occur in the training split" in note for note in corpus.notes)
    other = load(path, cache, fractions=(0.5, 0.3, 0.2), seed=1)
    assert texts(other, "train") != splits[0]
    assert load(path, cache, fractions=(0.5, 0.3, 0.2)).fingerprint == corpus.fingerprint


def test_groups_stay_together_and_what_they_share_is_left_out(tmp_path, cache):
    rows = [{**row, "review": f"{row['user']} : {row['review']}"} for row in reviews()]
    rows += [{"user": f"user {i}", "stars": 3, "review": "great !"} for i in range(40)]
    path = write_table(tmp_path / "reviews.csv", rows)
    corpus = load(path, cache, group_field="user", fractions=(0.6, 0.2, 0.2))
    splits = {split: texts(corpus, split) for split in ("train", "valid", "test")}
    users = {
        split: {line.partition(" :")[0] for line in lines if ":" in line}
        for split, lines in splits.items()
    }
    assert not users["train"] & users["valid"] | users["train"] & users["test"]
    assert not users["valid"] & users["test"]
    assert all(users.values())
    assert "great !" in splits["train"]
    for split in ("valid", "test"):
        assert "great !" not in splits[split]
        number = len(users[split])
        told = f"{number} sentences of groups in the {split} split also occur in an earlier split"
        assert any(note.startswith(told) for note in corpus.notes), corpus.notes


def test_a_table_of_each_split_is_taken_as_it_is(tmp_path, cache):
    splits = {"train": reviews()[:50], "valid": reviews()[50:60], "test": reviews()[60:70]}
    for split, rows in splits.items():
        write_table(tmp_path / f"{split}.csv", rows)
    corpus = load(str(tmp_path), cache)
    assert texts(corpus, "valid") == [" ".join(row["review"].split()) for row in splits["valid"]]
    assert [corpus.labels[i] for i in corpus.test.labels] == [
        str(r["stars"]) for r in splits["test"]
    ]
    with pytest.raises(InputError, match="is not split: leave fractions, seed and group_field"):
        load(str(tmp_path), cache, seed=3)


def test_fields_are_known_by_number_where_there_is_no_header(tmp_path):
    file = tmp_path / "reviews.tsv"
    file.write_text('5\t"so  good"\n\n1\tso bad\n')
    rows = list(table_rows(file, text_field="2", label_field="1"))
    assert rows == [Row('"so good"', "5"), Row("", "(none)"), Row("so bad", "1")]
    file = tmp_path / "rows.jsonl"
    file.write_text('[true, "so good"]\n[null, "x"]\n{"a": "very good", "b": "y"}\n')
    rows = list(table_rows(file, text_field="2", label_field="1", group_field="1"))
    assert rows == [
        Row("so good", "true", "true"),
        Row("x", "(none)"),
        Row("y", "very_good", "very good"),
    ]


def test_a_number_is_of_one_field_of_all_objects(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": "x", "b": "y"}\n["u", "v"]\n{"b": "z", "a": "w"}\n')
    with pytest.raises(
        InputError, match=r"rows\.jsonl:3: the keys b, a are not those of the first"
    ):
        list(table_rows(file, text_field="1"))
    file.write_text('{"a": "x", "b": "y"}\n{"b": "z", "a": "w"}\n')
    assert [row.text for row in table_rows(file, text_field="a")] == ["x", "w"]


def test_copies_that_differ_in_blanks_or_a_mark_are_in_one_split(tmp_path, cache):
    lines = [f"w{i}{gap}cat sat" for i in range(120) for gap in (" ", "  ", "\t", "\u00a0")]
    file = tmp_path / "raw.txt"
    file.write_text("\n".join(lines))
    corpus = load(str(file), cache, "text")
    found = [set(texts(corpus, split)) for split in ("train", "valid", "test")]
    assert sum(map(len, found)) == len(set.union(*found)) == 120
    table = tmp_path / "rows.jsonl"
    rows = [{"text": f"{mark}w{i} cat sat"} for i in range(120) for mark in ("", "\ufeff")]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = load(str(table), cache, text_field="text", label_field="")
    found = [set(texts(corpus, split)) for split in ("train", "valid", "test")]
    assert sum(map(len, found)) == len(set.union(*found)) == 120


def test_a_field_of_csv_may_hold_lines_and_a_mark_may_lead(tmp_path):
    file = tmp_path / "reviews.csv"
    file.write_bytes(b'\xef\xbb\xbftext,stars\r\n"so,\r\n""good""\r\n!",5\r\n,4\r\n')
    rows = list(table_rows(file, text_field="text", label_field="stars"))
    assert rows == [Row('so, "good" !', "5"), Row("", "4")]


BAD = {
    "a row too short": ("a.csv", b"text,stars\nx,1\ny\n", r"a\.csv:3: 1 fields, but the first"),
    "an open quote": (
        "a.csv",
        b'text,stars\nx,1\n"y,1\nz\n',
        r"a\.csv:4: invalid CSV: unexpected end",
    ),
    "a stray quote": ("a.csv", b'text,stars\n"x"y,1\n', r"a\.csv:2: invalid CSV: "),
    "no such name": ("a.csv", b"txt,stars\nx,1\n", "text_field is 'text', .*did you mean txt"),
    "latin-1": ("a.csv", b"text,stars\nx,1\n\xe9,2\n", r"a\.csv:3: not UTF-8 \(byte 1"),
    "a reserved word": ("a.tsv", b"text\tstars\nx <eos>\t1\n", r"a\.tsv:2: the word <eos> is res"),
    "a reserved label": ("a.tsv", b"text\tstars\nx\t<pad>\n", r"a\.tsv:2: the word <pad> is res"),
    "a NUL": ("a.jsonl", b'{"text": "x\\u0000", "stars": 1}\n', r"a\.jsonl:1: a NUL character"),
    "half a character": (
        "a.jsonl",
        b'{"text": "x", "stars": 1}\n{"text": "x \\ud83d", "stars": 1}\n',
        r"a\.jsonl:2: half a character, '\\ud83d', which",
    ),
    "half a character in a label": ("a.jsonl", b'{"text": "x", "stars": "\\ude00"}\n', "'.ude00'"),
    "no JSON": ("a.jsonl", b'{"text": "x", "stars": 1}\n{x}\n', r"a\.jsonl:2: invalid JSON \(Exp"),
    "a whole array": ("a.jsonl", b'[\n{"text": "x"}]\n', r"a\.jsonl:1: invalid JSON"),
    "a number": ("a.jsonl", b"5\n", r"a\.jsonl:1: each line must be a JSON object or list"),
    "a number for text": ("a.jsonl", b'{"text": 5, "stars": 1}\n', "contains 5, which is not text"),
    "a missing field": ("a.jsonl", b'{"text": "x"}\n', r"a\.jsonl:1: label_field is 'stars'"),
    "no Parquet": ("a.parquet", b"PAR1 or not", r"cannot read .*a\.parquet: "),
    "no gzip": ("a.csv.gz", b"text,stars\n", r"cannot read .*a\.csv\.gz: "),
    "a gzip cut short": ("a.csv.gz", gzip.compress(b"text,stars\n" * 99)[:-9], "cannot read "),
    "another kind": (
        "a.xlsx",
        b"",
        r"not a readable table: its name must end in \.csv, \.tsv",
    ),
    "an empty file": ("a.csv", b"", "the train split gets none of 0 sentences"),
    "too few rows": ("a.csv", b"text,stars\nx,1\n", "split gets none of 1 sentences: choose other"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, cache, case):
    name, content, message = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_corpus("table", path=str(tmp_path / name), cache_dir=cache, label_field="stars")
    assert "\n" not in str(caught.value)
    assert not Path(cache).exists() or not [p for p in Path(cache).iterdir() if p.is_dir()]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"path": "/no/such/table"}, "no table '/no/such/table': the table source needs a file"),
        ({"path": ""}, "no table ''"),
        ({"fractions": (0.5, 0.5)}, "fractions must be three numbers"),
        ({"fractions": (0.5, 0.5, 0.5)}, "whose sum is 1"),
    ],
)
def test_bad_settings_are_refused(tmp_path, cache, given, message):
    path = write_table(tmp_path / "reviews.csv", reviews())
    with pytest.raises(InputError, match=message):
        load(given.pop("path", path), cache, **given)


def test_a_single_file_of_text_is_split(tmp_path, cache):
    lines = [f"line {i} of {i % 7}" for i in range(200)]
    file = tmp_path / "raw.txt"
    file.write_bytes("\r".join(lines).encode())
    corpus = load(str(file), cache, "text", fractions=(0.7, 0.2, 0.1))
    found = [texts(corpus, split) for split in ("train", "valid", "test")]
    assert sorted([line for split in found for line in split]) == sorted(lines)
    order = [lines.index(line) for line in found[0]]
    assert order == sorted(order)
    assert any("199 lone carriage returns" in note for note in corpus.notes)
    file.write_bytes(b"a b\nc \xe9\n")
    with pytest.raises(InputError, match=r"raw\.txt:2: not UTF-8"):
        load(str(file), cache, "text")


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\t\r\n\0"), min_size=1, max_size=8
).filter(lambda text: text.strip() == text and "<" not in text)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries({"text": CELLS, "stars": CELLS}), min_size=1, max_size=5)
)
def test_every_form_gives_the_same_rows(rows):
    rows = [{"text": row["text"], "stars": row["stars"]} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        read = [
            list(
                table_rows(
                    Path(write_table(Path(folder, f"a{form}"), rows)),
                    text_field="text",
                    label_field="stars",
                )
            )
            for form in FORMS
        ]
    assert all(some == read[0] for some in read)
    assert [row.text for row in read[0]] == [" ".join(row["text"].split()) for row in rows]


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=80), kind=st.sampled_from(sorted(TABLES)))
def test_any_bytes_are_rows_or_one_sentence(content, kind):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"a{kind}")
        file.write_bytes(content)
        try:
            rows = list(table_rows(file, text_field="1"))
        except InputError as error:
            message = str(error)
        else:
            message = ""
            assert all(row.text == " ".join(row.text.split()) for row in rows)
    assert "\n" not in message
