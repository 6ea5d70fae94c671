"""What is doubtful about a text: each kind is told, and a sound text is left alone."""

import numpy as np
import pytest

from wae_rnf_jax.data import notes
from wae_rnf_jax.data.corpora import load_corpus
from wae_rnf_jax.data.notes import Repetitions, form_notes, sentence_hashes

SOUND = [f"sentence {i} , which says this and that" for i in range(20)]


@pytest.fixture
def noted(write_text, cache, capsys):
    """Prepares a text; gives its notes, which must be what standard error says."""

    def prepare(label="none", **splits) -> str:
        sound = {"train": SOUND, "valid": ["another one , new"], "test": ["one more"]}
        settings = {"path": write_text(**{**sound, **splits}), "cache_dir": cache, "label": label}
        corpus = load_corpus("text", **settings)
        told = capsys.readouterr().err.splitlines()
        assert told == [f"wae-rnf: note: {note}" for note in corpus.notes]
        load_corpus("text", **settings)
        assert capsys.readouterr().err == ""
        load_corpus("text", **settings, thorough=True)
        assert capsys.readouterr().err.splitlines() == told
        # What is one line is one sentence, which the splits above are, too.
        return "\n".join(note for note in corpus.notes if "is a single line" not in note)

    return prepare


def test_a_sound_text_is_not_doubted(noted):
    assert noted() == ""


@pytest.mark.parametrize(
    "lines, note",
    [
        (
            [*SOUND, "zero\u200bwidth and soft\u00adhyphen", "zero\u200bwidth"],
            "3 words contain inv",
        ),
        ([*SOUND, "a bell\x07"], r"1 words contain invisible characters, such as 'bell\x07'"),
        ([*SOUND, "cafe\u0301 na\u0131ve"], r"(NFC), such as 'cafe\u0301'"),
        (
            [*SOUND, "the _UNK is [UNK] , <s> not"],
            "3 words are special tokens of other programs, such as <",
        ),
        ([*SOUND, *SOUND[:5]], "20.0% of the training sentences repeat an earlier one"),
        ([f'{{"text": "{line}"}}' for line in SOUND], "train.txt look like JSON"),
        ([f'{i},"{line}"' for i, line in enumerate(SOUND)], "train.txt look like CSV"),
        ([f"{line}\t{i}" for i, line in enumerate(SOUND)], "look like tab-separated fields"),
        ([f"{i % 5} {line}" for i, line in enumerate(SOUND)], "begin with a label, such as 0,"),
    ],
)
def test_doubtful_words_and_lines_are_told(noted, lines, note):
    assert note in noted(train=lines)


def test_sentences_known_from_training_are_told(noted):
    told = noted(valid=[*SOUND[:3], "quite new"], test=["quite new too"])
    assert "75.0% of the sentences of the valid split also occur in the training split" in told
    assert "of the test split" not in told


def test_labels_are_told_and_those_that_training_lacks(noted):
    lines = [f"{'good' if i % 2 else 'bad'} {line}" for i, line in enumerate(SOUND)]
    told = noted(label="leading", train=lines, valid=["good news"], test=["ugly one", "bad one"])
    assert "3 labels found: bad, good, ugly" in told
    assert "1 labels of the test split do not occur in the training split, such as ugly" in told
    assert "of the valid split" not in told


def test_a_tab_after_the_label_is_no_table(noted):
    lines = [f"{i % 2}\t{line}" for i, line in enumerate(SOUND)]
    assert noted(label="leading", train=lines, valid=["0\tx"], test=["1\ty"]) == (
        "2 labels found: 0, 1"
    )


def test_one_line_lone_carriage_returns_and_marks_are_told(write_text, cache):
    path = write_text(
        train=b"the cat\ra dog slept\r\na dog\n", valid="\ufeffa cat\n\ufeffa dog\n".encode()
    )
    corpus = load_corpus("text", path=path, cache_dir=cache)
    decode = corpus.vocabulary.decode
    assert [decode(corpus.train.sentence(i)) for i in range(3)] == [
        "the cat",
        "a dog slept",
        "a dog",
    ]
    assert decode(corpus.valid.sentence(1)) == "a dog"
    told = "\n".join(corpus.notes)
    assert "train.txt has 1 lone carriage returns, which are read as ends of lines" in told
    assert "valid.txt has a byte-order mark before 2 lines, which is ignored" in told
    assert "test.txt is a single line" not in told
    corpus = load_corpus("text", path=write_text(test=["all of it"]), cache_dir=cache)
    assert "test.txt is a single line and is read as one sentence" in "\n".join(corpus.notes)


def test_the_form_of_a_text_is_counted_wherever_its_blocks_end(tmp_path, monkeypatch):
    file = tmp_path / "train.txt"
    file.write_bytes(b"\xef\xbb\xbfa\rb\r\n\xef\xbb\xbfc\n" * 50)
    expected = list(form_notes(file, label="none"))
    assert "50 lone carriage returns" in expected[0]
    assert "before 100 lines" in expected[1]
    for size in range(1, 30):
        monkeypatch.setattr(notes, "_BLOCK_BYTES", size)
        assert list(form_notes(file, label="none")) == expected


def test_the_built_in_grammar_is_not_doubted(cache, capsys):
    corpus = load_corpus("grammar", cache_dir=cache, num_sentences=(300, 100, 100))
    assert corpus.notes == ()
    assert capsys.readouterr().err == ""


def test_hashes_tell_sentences_apart():
    rng = np.random.default_rng(0)
    sentences = {tuple(rng.integers(0, 4, rng.integers(1, 6))) for _ in range(2000)}
    tokens = np.concatenate([np.array(sentence, np.uint16) for sentence in sentences])
    lengths = np.array([len(sentence) for sentence in sentences], np.int32)
    hashes = sentence_hashes(tokens, lengths)
    assert len(np.unique(hashes)) == len(sentences) > 500
    again = sentence_hashes(np.concatenate([tokens, tokens]), np.concatenate([lengths, lengths]))
    np.testing.assert_array_equal(again, np.concatenate([hashes, hashes]))


def test_of_many_sentences_the_shares_are_estimated(monkeypatch):
    monkeypatch.setattr(notes, "_MOST_HASHES", 4000)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 60_000, dtype=np.uint64)
    found = Repetitions()
    for part in np.split(np.concatenate([hashes, hashes[:20_000]]), 8):
        found.add("train", part)
    found.add("valid", np.concatenate([hashes[:3000], rng.integers(0, 2**64, 9000, np.uint64)]))
    found.add("test", rng.integers(0, 2**64, 9000, np.uint64))
    repeated, known = (float(note.split("%")[0]) for note in found.notes())
    assert abs(repeated - 25) < 3
    assert abs(known - 25) < 6
