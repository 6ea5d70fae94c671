"""Tokenizers: text comes back from its tokens, training and files give the same ones again."""

import json
import pickle
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wae_rnf_jax.data import pieces, shards
from wae_rnf_jax.data.corpora import load_corpus, load_evaluation_corpus, save_evaluation_corpus
from wae_rnf_jax.data.pieces import LEAST_PIECES, Pieces, trained_pieces
from wae_rnf_jax.data.special_words import END, RESERVED_WORDS, UNKNOWN_WORD
from wae_rnf_jax.data.tokenizers import (
    MARK,
    WHITESPACE,
    Characters,
    Whitespace,
    Words,
    loaded_tokenizer,
)
from wae_rnf_jax.data.vocabulary import Vocabulary
from wae_rnf_jax.errors import InputError

TEXT = "the cat saw a dog , the dog slept . the cats' dogs didn't see the cat !".split()


def trained(kind: str, counts=None, **settings) -> Pieces:
    form = {"vocab_size": 300, "lower_case": False, "nfc": False, **settings}
    return trained_pieces(kind=kind, counts=counts or Counter(TEXT * 5), **form)


def word_pieces() -> Pieces:
    """A tokenizer as others train them: lower case, an unknown word, pieces marked inside words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    names = ["[UNK]", "[CLS]", "the", "cat", "##s", "un", "##known", ",", "<eos>", "\t"]
    model = models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens(["[CLS]"])
    return Pieces(backend.to_str())


OWN = {
    "whitespace": Whitespace(),
    "words": Words(),
    "char": Characters(),
    "bpe": trained("bpe"),
    "unigram": trained("unigram"),
}
FORMS = {
    "whitespace": Whitespace(True, True),
    "words": Words(True, True),
    "char": Characters(True, True),
}
WORDS = st.one_of(
    st.sampled_from([UNKNOWN_WORD, f"{UNKNOWN_WORD},", "x<eos>", MARK, "don't", "3.5", "...", "İ"]),
    st.text(min_size=1, max_size=8).map(lambda text: "".join(text.split())).filter(bool),
).filter(
    lambda word: word not in RESERVED_WORDS and word.encode("utf-8", "ignore").decode() == word
)
SENTENCES = st.lists(st.lists(WORDS, max_size=6), max_size=4)


def flat(sentences) -> list[str]:
    return [word for sentence in sentences for word in [*sentence, END]]


def parted(tokens) -> list[list[str]]:
    sentences, sentence = [], []
    for token in tokens:
        if token == END:
            sentences.append(sentence)
            sentence = []
        else:
            sentence.append(token)
    assert sentence == []
    return sentences


@pytest.mark.parametrize("name", OWN)
@settings(max_examples=150, deadline=None)
@given(sentences=SENTENCES)
def test_text_comes_back_from_its_tokens(name, sentences):
    tokenizer = OWN[name]
    found = parted(tokenizer.tokens(flat(sentences)))
    assert all(token.split() == [token] for tokens in found for token in tokens)
    kept = "_" if name in ("words", "char") else MARK  # the one character that is given up
    assert [tokenizer.text(tokens) for tokens in found] == [
        " ".join(sentence).replace(MARK, kept) for sentence in sentences
    ]
    # Sentences by themselves are cut as together, and whatever was asked for before.
    assert [tokenizer.tokens(flat([one]))[:-1] for one in sentences] == found


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=150, deadline=None)
@given(sentence=st.lists(WORDS, max_size=6))
def test_normalized_text_comes_back_as_it_is(name, sentence):
    tokenizer = FORMS[name]
    once = tokenizer.text(tokenizer.tokens(flat([sentence]))[:-1])
    assert tokenizer.text(tokenizer.tokens(flat([once.split()]))[:-1]) == once
    assert once == once.lower() or any(word in once for word in ("<UNK>", "<PAD>", "<EOS>"))


def test_words_and_punctuation_are_parted():
    words = "Don't stop, it's 3.5 (or 1,000)... naïve <unk>! x<unk>".split()
    assert " ".join(Words().tokens([*words, END])).replace(MARK, "_") == (
        "_Don't _stop , _it's _3.5 _( or _1,000 ) ... _naïve <unk> ! _x < unk > <eos>"
    )


def test_lower_case_and_composed_form():
    decomposed = "Cafe\u0301"
    assert Words(True, True).tokens([decomposed, END]) == [f"{MARK}café", END]
    assert Words().tokens([decomposed, END]) == [f"{MARK}{decomposed}", END]
    assert Whitespace(True).tokens(["The", "<EOS>", END]) == ["the", "<EOS>", END]


def test_a_character_outside_the_vocabulary_is_shown_in_its_place():
    vocabulary = Vocabulary.from_counts(Counter([MARK, *"acent"]), tokenizer=Characters())
    ids = vocabulary.encode("a café cat")
    assert vocabulary.decode(ids) == "a ca<unk><unk> cat"
    assert vocabulary.encode(vocabulary.decode(ids)) == ids
    assert vocabulary.unknown_words("a café cat") == ("f", "é")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_are_the_same_whatever_order_they_are_trained_in(kind):
    rng = random.Random(0)
    counts = {"".join(rng.choices("abcdeé", k=rng.randint(1, 6))): i % 7 + 1 for i in range(900)}
    first = trained(kind, counts, vocab_size=400)
    for seed in range(3):
        items = list(counts.items())
        random.Random(seed).shuffle(items)
        assert trained(kind, dict(items), vocab_size=400) == first
    assert len(first.words()) == 400 - 4
    assert first.tokens([*"naïve 東京 😀".split(), END])[-1] == END


def test_of_many_words_each_counts_for_its_share(monkeypatch):
    counts = {"aa": 900_000, "bb": 90_000, "cc": 1}
    monkeypatch.setattr(pieces, "_MOST_WORDS", 1000)
    words = trained("bpe", counts, vocab_size=264).words()
    assert [word for word in words if len(word) > 1][:2] == ["aa", "Ġaa"]
    assert not any("cc" in word for word in words)


def test_too_few_pieces_are_refused():
    with pytest.raises(InputError, match=f"vocab_size must be at least {LEAST_PIECES}"):
        trained("bpe", vocab_size=LEAST_PIECES - 1)


def test_a_tokenizer_of_others_is_taken_as_it_is():
    tokenizer = word_pieces()
    words = "The Cats , unknown zebras <unk> x<eos>".split()
    tokens = tokenizer.tokens([*words, END, END])
    assert tokens == ["the", "cat", "##s", ",", "un", "##known", "zebras", "<unk>", *tokens[8:]]
    assert tokens[-2:] == [END, END]
    assert END not in tokens[:-2]
    vocabulary = Vocabulary.of_pieces(tokenizer)
    assert vocabulary.words[4:] == (
        *("[CLS]", "the", "cat", "##s", "un", "##known", ",", "\\u0009"),
    )
    assert vocabulary.unknown_words("cats zebras") == ("zebras",)
    assert vocabulary.decode(vocabulary.encode("the cats zebras")) == "the cats <unk>"


@pytest.mark.parametrize("tokenizer", [*OWN.values(), *FORMS.values(), word_pieces()], ids=repr)
def test_a_tokenizer_is_read_from_its_file_and_pickled(tokenizer, tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer.content())
    words = [*TEXT, END]
    for other in (loaded_tokenizer(file), pickle.loads(pickle.dumps(tokenizer))):
        assert other == tokenizer
        assert hash(other) == hash(tokenizer)
        assert other.tokens(words) == tokenizer.tokens(words)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"tokenizer": "last"}', '{"model": 1}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"tokenizer\.json is not a tokenizer .*must be") as caught:
        loaded_tokenizer(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"cannot read the tokenizer .*none\.json: No such file"):
        loaded_tokenizer(tmp_path / "none.json")


def texts(corpus, split: str) -> list[str]:
    part = getattr(corpus, split)
    return [corpus.vocabulary.decode(part.sentence(i)) for i in range(len(part))]


@pytest.mark.parametrize("name", ["words", "char", "bpe", "unigram"])
def test_a_corpus_keeps_its_tokenizer(write_text, cache, tmp_path, name):
    path = write_text(
        train=["the Cat, didn't sleep !", "a dog", "", "the <unk> dog"], test=["a dog"]
    )
    chosen = {"tokenizer": name, "vocab_size": 280}
    corpus = load_corpus("text", path=path, cache_dir=cache, **chosen)
    assert texts(corpus, "train") == ["the Cat, didn't sleep !", "a dog", "the <unk> dog"]
    assert corpus.altered == {"train": 0, "valid": 0, "test": 0}
    assert corpus.skipped["train"] == 1
    outside = {"words": 2, "char": 2, "bpe": 0, "unigram": 0}[name]  # saw and cat, w and c
    assert corpus.unknown == {"train": 0, "valid": outside, "test": 0}
    again = load_corpus("text", path=path, cache_dir=cache, **chosen)
    assert (again.fingerprint, again.vocabulary) == (corpus.fingerprint, corpus.vocabulary)
    save_evaluation_corpus(corpus, tmp_path / "corpus")
    kept = load_evaluation_corpus(tmp_path / "corpus")
    assert kept.vocabulary == corpus.vocabulary
    assert kept.unknown == corpus.unknown
    assert texts(kept, "test") == texts(corpus, "test")
    # Its file makes the same corpus.
    given = {"tokenizer": str(tmp_path / "corpus" / "tokenizer.json")}
    other = load_corpus("text", path=path, cache_dir=f"{cache}/other", **given)
    assert other.fingerprint == corpus.fingerprint


def test_a_tokenizer_that_alters_sentences_is_counted(write_text, cache):
    path = write_text(train=["The cat", "the cat"], valid=["A cat", "THE CAT", "the cat"])
    corpus = load_corpus("text", path=path, cache_dir=cache, lower_case=True)
    assert corpus.altered == {"train": 1, "valid": 2, "test": 0}
    assert texts(corpus, "valid") == ["<unk> cat", "the cat", "the cat"]
    assert corpus.unknown["valid"] == 1
    assert loaded_tokenizer(next(iter_files(cache, "tokenizer.json"))) == Whitespace(True)


def iter_files(cache: str, name: str):
    return Path(cache).rglob(name)


def test_the_default_writes_no_tokenizer_and_changes_no_fingerprint(write_text, cache):
    corpus = load_corpus("text", path=write_text(), cache_dir=cache, tokenizer="whitespace")
    assert corpus.vocabulary.tokenizer is WHITESPACE
    assert not list(iter_files(cache, "tokenizer.json"))
    # As earlier versions made and called it.
    assert corpus.fingerprint.startswith("0933984a64b2467a")
    assert (Path(cache) / "text-37adb32910aef55d").is_dir()
    manifest = json.loads(next(iter_files(cache, "corpus.json")).read_text())
    assert "tokenizer" not in manifest["key"]


@pytest.mark.parametrize(
    "chosen, message",
    [
        ({"tokenizer": "spaces"}, "no tokenizer 'spaces': it must be one of whitespace, words"),
        ({"tokenizer": "none.json"}, r"cannot read the tokenizer none\.json"),
        ({"tokenizer": "bpe", "min_count": 2}, "tokenizer bpe: min_count must be 1"),
        ({"tokenizer": "bpe", "vocab_size": 100}, "vocab_size must be at least 261"),
        (
            {"tokenizer": "unigram", "vocabulary": "x"},
            "unigram has its own vocabulary: do not name",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(write_text, cache, chosen, message):
    with pytest.raises(InputError, match=message):
        load_corpus("text", path=write_text(), cache_dir=cache, **chosen)


def test_a_given_file_says_itself_how_text_is_read(write_text, cache, tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(Words().content())
    with pytest.raises(InputError, match="lower_case and nfc must be False"):
        load_corpus(
            "text", path=write_text(), cache_dir=cache, tokenizer=str(file), lower_case=True
        )


@pytest.mark.parametrize("name", ["words", "char", "bpe"])
def test_the_number_of_processes_changes_nothing(write_text, tmp_path, monkeypatch, name):
    monkeypatch.setattr(shards, "SHARD_BYTES", 400)
    rng = random.Random(0)
    lines = [" ".join(rng.choices(TEXT, k=rng.randint(1, 9))) for _ in range(300)]
    path = write_text(train=lines)
    one, many = (
        load_corpus(
            "text", path=path, cache_dir=str(tmp_path / str(n)), tokenizer=name, num_workers=n
        )
        for n in (1, 3)
    )
    assert one.fingerprint == many.fingerprint
