"""What codes say of labels: a linear probe and a clustering, beside what needs no code.

Letters: N sentences, V vocabulary, Z latent.

The probe is a logistic regression (L2, C = 1) of the labels on the codes zk, scaled to unit
variance, fitted on training sentences and measured on another split. Beside it stand the most
frequent label of the training sentences, and the same regression on counts of words. The agreement
of a k-means clustering of the codes, one cluster a label, with the labels is their normalized
mutual information, 0 to 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from wae_rnf_jax.data.tables import NO_LABEL
from wae_rnf_jax.data.tokens import TokenSplit
from wae_rnf_jax.errors import InputError
from wae_rnf_jax.evaluation.latent_space import split_codes
from wae_rnf_jax.evaluation.report import Metrics
from wae_rnf_jax.evaluation.splits import random_choice, token_split
from wae_rnf_jax.extras import extra_module
from wae_rnf_jax.runs.trained_model import TrainedModel

_ITERATIONS = 1_000
_EXTRA = {"package": "scikit-learn", "extra": "probe"}


def probe_metrics(
    trained: TrainedModel,
    *,
    split: str = "test",
    num_train: int = 0,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Metrics:
    """How well labels can be told from codes; sentences without one are left out.

    Args:
      trained: a model with a latent code, of labelled text.
      split: where the labels are predicted.
      num_train: training sentences to fit on, drawn at random; 0 for all.
      seed: of that draw and of the clustering.
      progress: called with what is done next.

    Returns:
      `probe_accuracy`, its standard error `probe_accuracy_se`, and `probe_f1` (macro-averaged) of
      the codes; `majority_accuracy` and `majority_f1`; `bow_accuracy` and `bow_f1` of the bag of
      words; `cluster_nmi` where the split has more labels than one; `num_labels`,
      `num_probe_train` and `num_probe`.

    Raises:
      InputError: the text has no labels, or a single one, or the split none; the cache no longer
        holds the training text; the model has no code; or scikit-learn is missing.
    """
    _sklearn("linear_model")
    if not trained.corpus.labels:
        raise InputError("the run's training text has no labels to predict from codes")
    tell = progress or (lambda stage: None)
    train, test = token_split(trained, "train"), token_split(trained, split)
    rows, test_rows = (_labelled_rows(trained, part) for part in (train, test))
    rows = random_choice(rows, num_train or len(rows), seed=seed)
    targets, expected = np.asarray(train.labels)[rows], np.asarray(test.labels)[test_rows]
    if not len(test_rows):
        raise InputError(f"no sentence of the {split} split has a label")
    if len(np.unique(targets)) < 2:
        raise InputError(
            "the training sentences all have the same label: there is nothing to predict"
        )
    tell("encoding")
    codes = _codes(trained, train, rows), _codes(trained, test, test_rows)
    tell("fitting the probe of codes")
    of_codes = _fitted(codes[0], targets, scaled=True).predict(codes[1])
    tell("fitting the probe of word counts")
    words = (
        _word_counts(train, trained.vocabulary.size, rows),
        _word_counts(test, trained.vocabulary.size, test_rows),
    )
    of_words = _fitted(words[0], targets, scaled=False).predict(words[1])
    tell("clustering")
    majority = np.full_like(expected, np.bincount(targets).argmax())
    right = expected == of_codes
    return {
        **_agreement("probe", expected, of_codes),
        "probe_accuracy_se": float(right.std() / np.sqrt(len(right))),
        **_agreement("majority", expected, majority),
        **_agreement("bow", expected, of_words),
        **_cluster_agreement(codes[1], expected, seed),
        "num_labels": len(np.unique(targets)),
        "num_probe_train": len(rows),
        "num_probe": len(expected),
    }


def _labelled_rows(trained: TrainedModel, split: TokenSplit) -> np.ndarray:
    """The numbers of the sentences that have a label."""
    names = np.asarray(trained.corpus.labels)
    return np.flatnonzero(names[np.asarray(split.labels)] != NO_LABEL)


def _codes(trained: TrainedModel, split: TokenSplit, rows: np.ndarray) -> np.ndarray:
    return np.asarray(split_codes(trained, split, rows.tolist()), np.float64)


def _word_counts(split: TokenSplit, vocab_size: int, rows: np.ndarray) -> Any:
    """How often each word stands in each sentence: a sparse matrix [N, V]."""
    from scipy.sparse import csr_matrix

    counts = csr_matrix(
        (np.ones(split.num_words), np.asarray(split.tokens), np.asarray(split.offsets)),
        shape=(len(split), vocab_size),
    )
    counts.sum_duplicates()
    return counts[rows]


def _fitted(features: Any, targets: np.ndarray, *, scaled: bool) -> Any:
    regression = _sklearn("linear_model").LogisticRegression(max_iter=_ITERATIONS)
    steps = [_sklearn("preprocessing").StandardScaler()] if scaled else []
    return _sklearn("pipeline").make_pipeline(*steps, regression).fit(features, targets)


def _agreement(name: str, expected: np.ndarray, found: np.ndarray) -> Metrics:
    metrics = _sklearn("metrics")
    f1 = metrics.f1_score(expected, found, average="macro", zero_division=0.0)
    return {
        f"{name}_accuracy": float(metrics.accuracy_score(expected, found)),
        f"{name}_f1": float(f1),
    }


def _cluster_agreement(codes: np.ndarray, expected: np.ndarray, seed: int) -> Metrics:
    """`cluster_nmi`; nothing where all labels are the same, of which any clusters tell as much."""
    if len(np.unique(expected)) < 2:
        return {}
    num_clusters = min(len(np.unique(expected)), len(np.unique(codes, axis=0)))
    kmeans = _sklearn("cluster").KMeans(num_clusters, n_init=10, random_state=seed)
    clusters = kmeans.fit_predict(codes)
    agreement = _sklearn("metrics").normalized_mutual_info_score(expected, clusters)
    return {"cluster_nmi": float(agreement)}


def _sklearn(name: str) -> Any:
    return extra_module(f"sklearn.{name}", **_EXTRA)
