import numpy as np
import pytest

from wae_rnf_jax.data.corpora import Corpus
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.data.vocabulary import SPECIAL_WORDS, Vocabulary
from wae_rnf_jax.evaluation import published, report


def corpus_of(*, types, valid, test, test_words):
    """A corpus of these sizes."""
    words = SPECIAL_WORDS + tuple(f"w{number}" for number in range(types - len(SPECIAL_WORDS)))

    def split(number, num_words):
        offsets = np.linspace(0, num_words, number + 1).astype(np.int64)
        return TokenSplit(np.zeros(num_words, np.uint16), offsets)

    return Corpus(Vocabulary(words), None, split(valid, valid), split(test, test_words), "")


PTB = {"types": 10_002, "valid": 3_370, "test": 3_761, "test_words": 78_669}


def test_penn_treebank_is_known_by_its_sizes():
    assert published.known_corpus(corpus_of(**PTB)) == published.PENN_TREEBANK


@pytest.mark.parametrize("what", PTB)
def test_another_corpus_or_vocabulary_is_not_taken_for_it(what):
    assert published.known_corpus(corpus_of(**{**PTB, what: PTB[what] - 1})) is None


def test_yelp13_is_known_whatever_its_vocabulary():
    corpus = corpus_of(types=9_000, valid=7_773, test=8_671, test_words=400_000)
    assert published.known_corpus(corpus) == published.YELP13
    assert len(published.published_results(published.YELP13)) == 3
    assert published.published_results("built-in grammar") == []


def test_the_papers_formula_is_never_called_a_likelihood():
    metrics = {(r.corpus, r.name): r.metrics for r in published.PUBLISHED}
    of_paper = {key: f for key, f in metrics.items() if key[1] in ("WAE", "WAE-NF", "WAE-RNF")}
    assert len(of_paper) == 6
    assert all(set(f) == {"nll_paper"} for f in of_paper.values())
    both = metrics["PTB", "WAE-RNF, its code"]
    assert both["nll_paper"] < 90 < 105 < both["nll_iw"]
    others = [f for key, f in metrics.items() if key not in of_paper and f is not both]
    assert len(others) == 4
    assert all("nll_paper" not in f for f in others)


def test_every_metric_has_a_column_and_every_result_a_note():
    names = {column.name for column in report.COLUMNS}
    for result in published.PUBLISHED:
        assert set(result.metrics) <= names
        assert ("not a bound" in result.note) == (set(result.metrics) == {"nll_paper"})
        assert ("exact" in result.note or "bound" in result.note) or "nll_iw" in result.metrics
