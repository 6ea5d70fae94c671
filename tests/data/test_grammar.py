"""The built-in corpus: its probabilities are what it says they are."""

import math
import random
import re

import numpy as np
import pytest

from wae_rnf_jax.data.grammar import (
    english_grammar,
    grammar_entropy,
    grammar_fingerprint,
    grammar_log_prob,
    grammar_sentences,
)
from wae_rnf_jax.data.lexicon import ENGLISH, Lexicon, past, plural
from wae_rnf_jax.data.probabilistic_grammar import ProbabilisticGrammar, Rule, choice


def first_words(lexicon: Lexicon, num_topics: int) -> Lexicon:
    """The lexicon cut to its first words, which are the most frequent."""
    topics = list(lexicon.topics.items())[:num_topics]
    return Lexicon(
        {name: type(topic)(*(words[:1] for words in topic)) for name, topic in topics},
        *({feature: words[:1] for feature, words in part.items()} for part in lexicon[1:]),
    )


@pytest.fixture(scope="module")
def grammar() -> ProbabilisticGrammar:
    return english_grammar()


@pytest.fixture(scope="module")
def sentences() -> list:
    return list(grammar_sentences(3000, seed=3, split="train"))


@pytest.fixture(scope="module")
def language() -> list:
    """Every sentence over the smallest lexicon, with its probability."""
    return english_grammar(first_words(ENGLISH, 2)).sentences()


def test_size_is_what_is_promised(grammar):
    assert len(grammar.terminals(grammar.start)) >= 300
    assert grammar.num_derivations(grammar.start) >= 10**9
    assert grammar.length_range(grammar.start) == (4, 20)


def test_probabilities_sum_to_one(grammar):
    assert math.isclose(grammar.total_probability(grammar.start), 1, abs_tol=1e-12)


def test_entropy_is_within_reach_of_a_small_model():
    assert 20 < grammar_entropy() < 35


def test_small_language_is_unambiguous_and_sums_to_one(language):
    texts = [words for words, _ in language]
    assert len(language) > 10_000
    assert len(set(texts)) == len(texts)
    assert math.isclose(math.fsum(p for _, p in language), 1, abs_tol=1e-12)


def test_entropy_is_that_of_the_enumerated_language(language):
    small = english_grammar(first_words(ENGLISH, 2))
    enumerated = -math.fsum(p * math.log(p) for _, p in language)
    assert math.isclose(small.entropy(small.start), enumerated, rel_tol=1e-12)
    assert small.num_derivations(small.start) == len(language)


def test_parser_finds_the_probability_of_every_enumerated_sentence(language):
    small = english_grammar(first_words(ENGLISH, 2))
    for words, probability in language[::101]:
        count, found = small.derivations(words)
        assert count == 1
        assert math.isclose(found, probability, rel_tol=1e-12)


def test_drawn_sentences_have_one_derivation_of_the_stated_probability(grammar, sentences):
    for sentence in sentences[:300]:
        count, probability = grammar.derivations(tuple(sentence.text.split()))
        assert count == 1
        assert math.isclose(math.log(probability), sentence.log_prob, rel_tol=1e-12)
        assert grammar_log_prob(sentence.text) == pytest.approx(sentence.log_prob, rel=1e-12)


def test_mean_log_probability_is_minus_the_entropy(sentences):
    log_probs = np.array([sentence.log_prob for sentence in sentences])
    error = log_probs.std() / math.sqrt(len(log_probs))
    assert abs(-log_probs.mean() - grammar_entropy()) < 4 * error


def test_drawn_lengths_are_in_range(sentences):
    lengths = [len(sentence.text.split()) for sentence in sentences]
    assert min(lengths) == 4
    assert max(lengths) <= 20


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("the cook serves the soup", "the cook serve the soup"),  # number of the verb
        ("the cooks serve the soup", "the cooks serves the soup"),
        ("yesterday the cook served the soup", "tomorrow the cook served the soup"),  # tense
        (
            "the cook who tasted the pie served the soup",
            "the cook who tastes the pie served the soup",
        ),
        ("the cook does not serve the soup", "the cook did not serves the soup"),  # polarity
        (
            "the cook served the soup and tasted the pie",
            "the cook served the soup and study the pie",
        ),
        (
            "the cook served the soup in the kitchen",
            "the cook served the soup in the library",
        ),  # topic
        (
            "the good cook served the soup gladly",
            "the good cook served the soup sadly",
        ),  # sentiment
        (
            "the cooks served the soup because they were sad",
            "the cooks served the soup because he was sad",
        ),
        ("every cook served a soup", "every cooks served a soup"),
    ],
)
def test_distant_words_agree(right, wrong):
    assert grammar_log_prob(right) > -math.inf
    assert grammar_log_prob(wrong) == -math.inf


def test_not_a_sentence():
    assert grammar_log_prob("") == -math.inf
    assert grammar_log_prob("the cook served") == -math.inf
    assert grammar_log_prob("the zebra served the soup") == -math.inf


def test_topic_is_the_one_that_the_words_are_of(sentences):
    for sentence in sentences[:200]:
        nouns = ENGLISH.topics[sentence.topic].agents
        assert set(sentence.text.split()) & {*nouns, *map(plural, nouns)}


def test_topic_alone_carries_more_than_a_nat(sentences):
    _, counts = np.unique([sentence.topic for sentence in sentences], return_counts=True)
    shares = counts / counts.sum()
    assert -(shares * np.log(shares)).sum() > 1.9


def test_content_words_belong_to_one_topic():
    words = [
        word
        for topic in ENGLISH.topics.values()
        for word in (*topic.agents, *topic.objects, *topic.verbs)
    ]
    assert len(set(words)) == len(words)


def test_no_vowel_follows_the_indefinite_article():
    nouns = [noun for topic in ENGLISH.topics.values() for noun in (*topic.agents, *topic.objects)]
    adjectives = [word for words in ENGLISH.adjectives.values() for word in words]
    assert not [word for word in (*nouns, *adjectives) if re.match("[aeiou]", word)]


def test_past_is_never_the_base_form():
    verbs = [verb for topic in ENGLISH.topics.values() for verb in topic.verbs]
    assert not set(verbs) & set(map(past, verbs))


def test_draws_are_a_function_of_seed_and_split():
    def draw(seed, split):
        return list(grammar_sentences(20, seed=seed, split=split))

    assert draw(0, "train") == draw(0, "train")
    assert draw(0, "train") != draw(1, "train")
    assert draw(0, "train") != draw(0, "valid")
    assert draw(0, "train")[:5] == list(grammar_sentences(5, seed=0, split="train"))


def test_fingerprint_changes_with_any_word():
    adjectives = {**ENGLISH.adjectives, "bad": ("grim", *ENGLISH.adjectives["bad"][1:])}
    changed = english_grammar(ENGLISH._replace(adjectives=adjectives))
    assert grammar_fingerprint() == english_grammar().fingerprint()
    assert changed.fingerprint() != grammar_fingerprint()
    assert changed.entropy(changed.start) == grammar_entropy()


def test_an_ambiguous_grammar_is_found_out():
    rules = {
        "S": choice({(("N",), ("N",)): 1.0, ("a", "b"): 3.0}),
        "N": (Rule(0.5, ("a",)), Rule(0.5, ("b",))),
    }
    ambiguous = ProbabilisticGrammar(lambda symbol: rules[symbol[0]], start=("S",))
    assert ambiguous.derivations(("a", "b")) == (2, pytest.approx(0.25 * 0.25 + 0.75))
    assert ambiguous.derivations(("b", "b")) == (1, pytest.approx(0.25 * 0.25))


def test_sampling_follows_the_probabilities():
    rules = {
        "S": choice({("a",): 1.0, ("b", ("S2",)): 3.0}),
        "S2": choice({("c",): 1.0, ("d",): 1.0}),
    }
    small = ProbabilisticGrammar(lambda symbol: rules[symbol[0]], start=("S",))
    generator = random.Random(0)
    drawn = [small.sample(generator) for _ in range(4000)]
    for words, probability in small.sentences():
        share = sum(sample == words for sample, _ in drawn) / len(drawn)
        assert abs(share - probability) < 4 * math.sqrt(
            probability * (1 - probability) / len(drawn)
        )
    assert {words: math.exp(log_prob) for words, log_prob in drawn} == pytest.approx(
        dict(small.sentences())
    )
