"""Words and ids: order, limits, the special words, and files edited by hand."""

import pytest

from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS, Vocabulary, first_reserved_word
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.functional.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID

TEXT = ["b a c", "c a d", "e c <unk>"]


def test_special_words_have_the_ids_of_the_pure_functions():
    vocabulary = Vocabulary.from_sentences(TEXT)
    words = ("<pad>", "<unk>", "<bos>", "<eos>")
    assert tuple(vocabulary.words[i] for i in (PAD_ID, UNK_ID, BOS_ID, EOS_ID)) == words
    assert vocabulary.words[: len(SPECIAL_WORDS)] == words


def test_words_stand_by_frequency_then_first_appearance():
    assert Vocabulary.from_sentences(TEXT).words[4:] == ("c", "a", "b", "d", "e")


def test_rare_words_are_left_out():
    assert Vocabulary.from_sentences(TEXT, min_count=2).words[4:] == ("c", "a")


def test_max_size_counts_the_special_words():
    vocabulary = Vocabulary.from_sentences(TEXT, max_size=6)
    assert vocabulary.size == 6
    assert vocabulary.words[4:] == ("c", "a")


def test_unknown_word_in_a_text_is_the_special():
    vocabulary = Vocabulary.from_sentences(TEXT)
    assert vocabulary.words.count("<unk>") == 1
    assert vocabulary.encode("a <unk> zebra") == [vocabulary.encode("a")[0], UNK_ID, UNK_ID]


def test_unknown_words_are_those_that_encode_replaces():
    vocabulary = Vocabulary.from_sentences(TEXT)
    assert vocabulary.unknown_words("zebra a <unk> b yak zebra") == ("zebra", "yak", "zebra")
    assert vocabulary.unknown_words("") == ()


def test_decode_undoes_encode():
    vocabulary = Vocabulary.from_sentences(TEXT)
    assert vocabulary.decode(vocabulary.encode("  e  c\tb ")) == "e c b"


def test_decode_stops_at_the_end_and_drops_marks():
    vocabulary = Vocabulary.from_sentences(TEXT)
    ids = [BOS_ID, 4, PAD_ID, 5, UNK_ID, EOS_ID, 6, EOS_ID]
    assert vocabulary.decode(ids) == "c a <unk>"


@pytest.mark.parametrize("word", ["<pad>", "<bos>", "<eos>"])
def test_reserved_words_are_refused(word):
    assert first_reserved_word(["a", word]) == word
    with pytest.raises(InputError, match=word):
        Vocabulary.from_sentences([f"a {word} b"])
    with pytest.raises(InputError, match=word):
        Vocabulary.from_sentences(TEXT).encode(f"a {word} b")


@pytest.mark.parametrize("settings", [{"min_count": 0}, {"max_size": 4}, {"max_size": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        Vocabulary.from_sentences(TEXT, **settings)


@pytest.mark.parametrize(
    "words", [("a", "b"), (*SPECIAL_WORDS, "a", "a"), (*SPECIAL_WORDS, "a b"), (*SPECIAL_WORDS, "")]
)
def test_impossible_vocabularies_are_refused(words):
    with pytest.raises(ValueError):
        Vocabulary(words)


def test_file_gives_back_the_vocabulary(tmp_path):
    vocabulary = Vocabulary.from_sentences([*TEXT, "naïve x\u2028y 東京"])
    vocabulary.save(tmp_path / "vocabulary.txt")
    assert Vocabulary.load(tmp_path / "vocabulary.txt") == vocabulary


def test_one_word_is_a_vocabulary(tmp_path):
    Vocabulary.from_sentences(["a a a"]).save(tmp_path / "vocabulary.txt")
    assert Vocabulary.load(tmp_path / "vocabulary.txt").size == 5


HEAD = b"<pad>\n<unk>\n<bos>\n<eos>\n"


@pytest.mark.parametrize(
    "content, message",
    [
        (HEAD + b"a\nb\na\n", r":7: 'a' is already on line 5"),
        (HEAD + b"a\n\nb\n", r":6: expected one word"),
        (HEAD + b"a b\n", r":5: expected one word"),
        (HEAD + b"a\n\xff\n", r":6: not UTF-8"),
        (b"<pad>\n<bos>\n<unk>\n<eos>\n", r":2: expected <unk>, found '<bos>'"),
        (b"<pad>\n<unk>\n", "must begin with"),
        (b"", "must begin with"),
    ],
)
def test_edited_file_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Vocabulary.load(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        Vocabulary.load(tmp_path / "nowhere.txt")
