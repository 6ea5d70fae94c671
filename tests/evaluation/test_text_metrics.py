"""Metrics of decoded text, against counts made by hand and against plain NumPy."""

import collections
import math

import numpy as np
import pytest

from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.evaluation import text_metrics
from wae_rnf_jax.evaluation.decoding import Decoding, decoded_sentences
from wae_rnf_jax.evaluation.latent_space import encode_sentences, prior_sentences
from wae_rnf_jax.evaluation.likelihood import evaluate_split

WORDS = ("red", "green", "blue", "cyan")


def texts(number, *, seed, shortest=4):
    rng = np.random.default_rng(seed)
    return [
        " ".join(WORDS[i] for i in rng.integers(0, 4, rng.integers(shortest, shortest + 8)))
        for _ in range(number)
    ]


def misread(sentences):
    """The sentences with every fifth word another and every third sentence without its last."""
    words = [text.split() for text in sentences]
    for number, row in enumerate(words):
        row[number % 3 :: 5] = ["red"] * len(row[number % 3 :: 5])
    return [" ".join(row[:-1] if i % 3 == 0 else row) for i, row in enumerate(words)]


def ngrams(text, order):
    words = text.split()
    return collections.Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def reference_bleu(pairs):
    """BLEU-4 of (text, references) pairs by its definition, where every order has a match."""
    matched, counted = np.zeros(4), np.zeros(4)
    length = reference_length = 0
    for text, references in pairs:
        words = len(text.split())
        length += words
        reference_length += min(
            (len(r.split()) for r in references), key=lambda n: (abs(n - words), n)
        )
        for order in range(1, 5):
            found = ngrams(text, order)
            known = collections.Counter()
            for reference in references:
                known |= ngrams(reference, order)
            matched[order - 1] += (found & known).total()
            counted[order - 1] += found.total()
    assert matched.min() > 0
    brevity = min(1.0, math.exp(1 - reference_length / length))
    return 100 * brevity * math.exp(np.log(matched / counted).mean())


def test_corpus_bleu_follows_its_definition():
    wanted = texts(30, seed=0)
    found = misread(wanted)
    expected = reference_bleu((text, [of]) for text, of in zip(found, wanted, strict=True))
    assert 5 < expected < 95
    assert text_metrics.corpus_bleu(found, wanted) == pytest.approx(expected)
    assert text_metrics.corpus_bleu(found, found) == pytest.approx(100)
    assert text_metrics.corpus_bleu(["red green"], ["blue cyan"]) == 0
    # Shorter sentences than four words are measured by the orders they have.
    assert text_metrics.corpus_bleu(["red green"], ["red green"]) == pytest.approx(100)


def test_words_are_compared_as_they_stand(caplog):
    assert text_metrics.corpus_bleu(["N.Y. <unk> 's a ."], ["n.y. <unk> 's a ."]) < 100
    assert text_metrics.corpus_bleu(["it 's a . ."], ["it 's a . ."]) == pytest.approx(100)
    assert not caplog.records


def test_self_bleu_is_the_mean_over_texts():
    found = texts(12, seed=2, shortest=40)
    expected = np.mean(
        [reference_bleu([(text, found[:i] + found[i + 1 :])]) for i, text in enumerate(found)]
    )
    assert text_metrics.self_bleu(found) == pytest.approx(expected)
    assert text_metrics.self_bleu(["red green blue cyan"] * 3) == pytest.approx(100)
    assert text_metrics.self_bleu(["red", "green"]) == 0
    assert math.isnan(text_metrics.self_bleu(["red"]))


@pytest.mark.parametrize("order, expected", [(1, 3 / 8), (2, 3 / 5), (3, 1.0), (4, math.nan)])
def test_distinct_share_counts_ngrams_within_texts(order, expected):
    found = ["red red blue", "red red", "", "green red blue"]
    assert text_metrics.distinct_share(found, order=order) == pytest.approx(expected, nan_ok=True)


def test_novel_texts_are_no_training_sentences(vocabulary):
    training = TokenSplit.from_sentences(
        [vocabulary.encode(text) for text in ("red green", "blue", "cyan mauve")],
        vocab_size=vocabulary.size,
    )
    texts = ["red green", "red", "blue", "blue", "cyan <unk>", "green red", ""]
    found = text_metrics.novel(texts, vocabulary, training)
    assert found.tolist() == [False, True, False, False, False, True, True]


def test_reconstructions_are_compared_with_their_sentences(trained, vocabulary, split):
    sentences = [vocabulary.decode(split.sentence(row).tolist()) for row in range(9)]
    codes = encode_sentences(trained, sentences).zk
    found = decoded_sentences(trained, codes, decoding=Decoding(max_length=7))
    metrics = text_metrics.reconstruction_metrics(trained, split, num_sentences=9, max_length=7)
    assert metrics == {
        "recon_bleu": text_metrics.corpus_bleu(found, sentences),
        "num_reconstructions": 9,
    }
    assert 0 < metrics["recon_bleu"] < 100


def test_self_bleu_is_of_a_bounded_number_of_samples(monkeypatch):
    monkeypatch.setattr(text_metrics, "SELF_BLEU_SENTENCES", 5)
    samples = texts(8, seed=3)
    metrics = text_metrics.diversity_metrics(samples)
    assert metrics["num_generated"] == 8
    assert metrics["num_self_bleu"] == 5
    assert metrics["self_bleu"] == text_metrics.self_bleu(samples[:5])
    assert metrics["distinct_2"] == text_metrics.distinct_share(samples, order=2)


def test_judged_samples_score_as_a_split_of_them(trained_language_model, vocabulary):
    decoding = Decoding(strategy="sample", max_length=6, seed=2)
    drawn = prior_sentences(trained_language_model, 20, decoding=decoding)
    samples = (*drawn, "")  # an empty sample is a sentence too
    rows = [vocabulary.encode(text) for text in samples]
    expected = evaluate_split(
        trained_language_model.model, TokenSplit.from_sentences(rows, vocab_size=vocabulary.size)
    )
    metrics = text_metrics.judged_metrics(trained_language_model, samples)
    assert metrics["sample_lm_nll"] == pytest.approx(expected["nll_iw"], rel=1e-5)
    assert metrics["sample_lm_ppl"] == pytest.approx(expected["ppl_iw"], rel=1e-5)


def test_only_empty_samples_are_judged_too(trained_language_model):
    metrics = text_metrics.judged_metrics(trained_language_model, ["", ""])
    assert metrics["sample_lm_nll"] > 0
    assert metrics["sample_lm_ppl"] == pytest.approx(math.exp(metrics["sample_lm_nll"]))


def test_more_samples_begin_with_the_same_ones(trained):
    decoding = Decoding(strategy="sample", max_length=5, seed=4)
    few, more = (prior_sentences(trained, number, decoding=decoding) for number in (3, 70))
    assert more[:3] == few
    assert len(set(more)) > 3
