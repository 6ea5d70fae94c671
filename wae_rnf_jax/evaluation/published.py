"""Published values, each under the name of what it measures.

A corpus is known by its sizes, so that no value is shown beside another corpus' or vocabulary's.
"""

from typing import NamedTuple

from wae_rnf_jax.data.corpora import Corpus

PENN_TREEBANK, YELP13 = "PTB", "Yelp13"

_SIZES = {
    PENN_TREEBANK: {"types": 10_002, "valid": 3_370, "test": 3_761, "test words": 78_669},
    YELP13: {"valid": 7_773, "test": 8_671},
}


class PublishedResult(NamedTuple):
    """What a paper, or its code, reports of a model on a corpus' test split.

    Attributes:
      name: the model.
      corpus: the corpus.
      metrics: named as `evaluate_split` names them: the paper's formula as `nll_paper`, an
        importance-weighted or exact likelihood as `nll_iw`, an evidence bound as `neg_elbo`.
      note: what the metrics are.
    """

    name: str
    corpus: str
    metrics: dict[str, float | int]
    note: str

    @property
    def label(self) -> str:
        """How tables of runs name it."""
        return f"{self.corpus}, published: {self.name}"


_PAPER = "Wang & Wang 2019: the paper's formula, not a bound on anything"
_SMALL = "LSTMs of E = H = 256, dropout .5"

PUBLISHED = (
    *(
        PublishedResult(name, corpus, {"nll_paper": nll}, f"{_PAPER}; E = H = 200")
        for corpus, nlls in ((PENN_TREEBANK, (104, 92, 91)), (YELP13, (198, 184, 183)))
        for name, nll in zip(("WAE", "WAE-NF", "WAE-RNF"), nlls, strict=True)
    ),
    PublishedResult(
        "WAE-RNF, its code",
        PENN_TREEBANK,
        {"nll_iw": 105.94, "ppl_iw": 125.6, "kl": 0.56, "nll_paper": 89.65, "num_samples": 50},
        "the paper's code run for 10 epochs, with its annealing scaled to them: the paper's "
        "formula and the importance-weighted NLL of the same model, which has collapsed",
    ),
    PublishedResult(
        "LSTM-LM",
        PENN_TREEBANK,
        {"nll_iw": 101.04, "ppl_iw": 100.47},
        f"language model, exact; {_SMALL}",
    ),
    PublishedResult(
        "cyclical annealing",
        PENN_TREEBANK,
        {"neg_elbo": 102.81, "ppl_iw": 108.81, "kl": 1.37, "mi": 1.27, "au": 5},
        "Fu et al. 2019: evidence bound, perplexity importance-weighted",
    ),
    PublishedResult(
        "lagging inference",
        PENN_TREEBANK,
        {"neg_elbo": 101.19, "ppl_iw": 99.83, "kl": 0.93, "mi": 0.83, "au": 4},
        f"He et al. 2019: evidence bound, perplexity importance-weighted; {_SMALL}",
    ),
    PublishedResult(
        "free bits",
        PENN_TREEBANK,
        {"neg_elbo": 102.41, "ppl_iw": 96.86, "kl": 6.54, "mi": 5.31, "au": 32},
        "Li et al. 2019, after an autoencoder's pretraining: evidence bound, perplexity "
        f"importance-weighted; {_SMALL}",
    ),
)


def published_results(corpus: str) -> list[PublishedResult]:
    """What is published of a corpus.

    Args:
      corpus: its name, as `known_corpus` gives it.

    Returns:
      The results; none for a corpus of which no metrics are published.
    """
    return [result for result in PUBLISHED if result.corpus == corpus]


def known_corpus(corpus: Corpus) -> str | None:
    """The name of a corpus that has published values.

    Args:
      corpus: vocabulary, validation and test split.

    Returns:
      Its name, or None.
    """
    if corpus.test is None:  # of an exported model, on another machine
        return None
    sizes = {
        "types": corpus.vocabulary.size,
        "valid": len(corpus.valid),
        "test": len(corpus.test),
        "test words": corpus.test.num_words,
    }
    for name, known in _SIZES.items():
        if all(sizes[what] == number for what, number in known.items()):
            return name
    return None
